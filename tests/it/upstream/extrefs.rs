//! `t/20_resources/00_base/extrefs.pm`: counts by tag, each tag one reference however high its count is.

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;

#[tokio::test(start_paused = true)]
async fn a_tag_is_one_reference_from_its_first_count_to_its_last() {
    let kernel = kernel();
    life("S", |cx| cx.delay("go", ms(10), ()))
        .on("go", |cx, ()| {
            let me = cx.session_id();
            let refs = |cx: &Cx<'_>| cx.snapshot().get_session_refcount(me);
            let tags = |cx: &Cx<'_>| cx.snapshot().get_session_extref_count(me);
            let base = refs(cx);
            assert_eq!(cx.snapshot().extref_count(), 0);

            assert_eq!(cx.refcount_increment(me, "tag-1").unwrap(), 1);
            assert_eq!(cx.refcount_increment(me, "tag-1").unwrap(), 2);
            assert_eq!(refs(cx), base + 1);
            assert!(cx.refcount_decrement(me, "nonexistent").unwrap_err().is_no_such_tag());
            assert_eq!(refs(cx), base + 1);

            assert_eq!(cx.refcount_increment(me, "tag-2").unwrap(), 1);
            assert_eq!(cx.refcount_increment(me, "tag-2").unwrap(), 2);
            assert_eq!((refs(cx), tags(cx), cx.snapshot().extref_count()), (base + 2, 2, 1));
            assert_eq!(cx.snapshot().get_session_extref_count("nothing"), 0);

            assert_eq!(cx.refcount_decrement(me, "tag-1").unwrap(), 1);
            assert_eq!(cx.refcount_decrement(me, "tag-1").unwrap(), 0);
            assert_eq!((refs(cx), tags(cx)), (base + 1, 1));
            assert_eq!(cx.refcount_increment(me, "tag-1").unwrap(), 1, "it starts anew");
            assert_eq!(cx.refcount_decrement(me, "tag-1").unwrap(), 0);

            assert_eq!(cx.refcount_decrement(me, "tag-2").unwrap(), 1);
            assert_eq!((refs(cx), tags(cx)), (base + 1, 1));
            assert_eq!(cx.refcount_decrement(me, "tag-2").unwrap(), 0);
            assert_eq!((refs(cx), tags(cx), cx.snapshot().extref_count()), (base, 0, 0));
            assert!(cx.refcount_decrement(me, "tag-2").unwrap_err().is_no_such_tag());
            assert_eq!(refs(cx), base);
            say("counted");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["counted", "S stop"]);
}

/// POE's `extref_clear_session` is part of a session's end.
#[tokio::test(start_paused = true)]
async fn all_counts_go_with_their_session() {
    let kernel = kernel();
    let id = life("S", |cx| {
        for tag in ["tag-1", "tag-2", "tag-2"] {
            cx.refcount_increment(cx.session_id(), tag).unwrap();
        }
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(kernel.snapshot().get_session_extref_count(id), 2);
    kernel.signal(id, "TERM", ()).unwrap();
    run(&kernel).await;
    let snapshot = kernel.snapshot();
    assert_eq!((snapshot.extref_count(), snapshot.get_session_extref_count(id)), (0, 0));
    assert!(kernel.refcount_decrement(id, "tag-2").unwrap_err().is_no_such_session());
    assert_eq!(said(), ["S stop"]);
}

/// Of one kind of count POE's traps tell nothing: each session has its own tags.
#[tokio::test(start_paused = true)]
async fn a_tag_belongs_to_one_session() {
    let kernel = kernel();
    let [a, b] = ["A", "B"].map(|name| life(name, nothing).create(&kernel).unwrap());
    assert_eq!(kernel.refcount_increment(a, "tag").unwrap(), 1);
    assert_eq!(kernel.refcount_increment(b, "tag").unwrap(), 1);
    assert_eq!(kernel.snapshot().extref_count(), 2);
    assert_eq!(kernel.refcount_decrement(a, "tag").unwrap(), 0);
    assert!(kernel.refcount_decrement(a, "tag").unwrap_err().is_no_such_tag());
    assert_eq!(kernel.refcount_decrement(b, "tag").unwrap(), 0);
    run(&kernel).await;
    assert_eq!(said(), ["B stop", "A stop"]);
}
