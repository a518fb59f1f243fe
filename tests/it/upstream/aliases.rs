//! `t/20_resources/00_base/aliases.pm`: the table of aliases and the references that they are. The kernel's own session has
//! no aliases here, so a session of the test's takes its place.

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;
use poe::{SessionId, inspect::HoldKind};

/// How many things hold that session, and its aliases.
fn facts(cx: &Cx<'_>, id: SessionId) -> (usize, Vec<String>) {
    let snapshot = cx.snapshot();
    let aliases = snapshot.session_alias_list(id).to_vec();
    assert_eq!(snapshot.session_alias_count(id), aliases.len());
    let holds = &snapshot.session(id).unwrap().holds;
    let held = holds.iter().filter(|hold| hold.kind == HoldKind::Alias);
    assert_eq!(held.map(|hold| hold.name.clone()).collect::<Vec<_>>(), aliases);
    (snapshot.get_session_refcount(id), aliases)
}

#[tokio::test(start_paused = true)]
async fn each_alias_is_one_reference_and_all_go_with_their_session() {
    let kernel = kernel();
    let id = life("S", |cx| cx.delay("go", ms(10), ()))
        .on("go", |cx, ()| {
            let me = cx.session_id();
            let (base, none) = facts(cx, me);
            assert!(none.is_empty());

            cx.alias_set("alias-1").unwrap();
            assert_eq!(cx.alias_resolve("alias-1").unwrap(), me);
            assert_eq!(facts(cx, me), (base + 1, vec!["alias-1".to_owned()]));
            assert_eq!(cx.snapshot().session_id_loggable(me).unwrap(), "session 1 (alias-1)");
            cx.alias_set("alias-1").unwrap();
            assert_eq!(facts(cx, me).0, base + 1, "one that it has already");

            cx.alias_remove("alias-1").unwrap();
            assert!(cx.alias_resolve("alias-1").unwrap_err().is_no_such_session());
            assert_eq!(facts(cx, me), (base, vec![]));
            assert_eq!(cx.snapshot().session_id_loggable(me).unwrap(), "session 1");

            for alias in ["alias-3", "alias-1", "alias-2"] {
                cx.alias_set(alias).unwrap();
            }
            assert_eq!(
                facts(cx, me),
                (base + 3, ["alias-1", "alias-2", "alias-3"].map(str::to_owned).to_vec())
            );
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    for alias in ["alias-1", "alias-2", "alias-3", "nothing"] {
        assert_eq!(kernel.resolve(alias), None);
    }
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_alias_count(id), 0);
    assert_eq!(snapshot.session_alias_count("nothing"), 0);
    assert!(snapshot.session_alias_list("nothing").is_empty());
    assert_eq!(snapshot.session_id_loggable("nothing"), None);
}

/// POE's `alias_clear_session`: what a session's end makes free can be taken at once.
#[tokio::test(start_paused = true)]
async fn an_alias_of_a_stopped_session_is_free() {
    let kernel = kernel();
    for name in ["first", "second"] {
        life(name, |cx| {
            cx.alias_set("shared").unwrap();
            cx.alias_set("shared too").unwrap();
        })
        .create(&kernel)
        .unwrap();
        kernel.signal("shared", "TERM", ()).unwrap();
        run(&kernel).await;
    }
    assert_eq!(said(), ["first stop", "second stop"]);
}
