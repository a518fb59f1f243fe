//! `t/20_resources/00_base/sessions.pm`: the tree of sessions and the references that children are; moving, stopping and
//! collecting. POE's traps about sessions that do not exist have no counterpart but refusals: nobody outside names a slot
//! of the table.

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;
use poe::{HandlerResult, Kernel, SessionBuilder, SessionId, inspect::Snapshot};

/// A session that lives on an alias of its name's, with the next of `names` for its child.
fn chain(names: &'static [&'static str]) -> SessionBuilder<()> {
    let name = names[0];
    life(name, move |cx| {
        cx.alias_set(name).unwrap();
        if names.len() > 1 {
            cx.create(chain(&names[1..])).unwrap();
        }
    })
    .on("detach", |cx, ()| cx.detach_myself())
    .on("let go", move |cx, ()| cx.alias_remove(name))
}

/// Past all markers, so that only the tree and an alias each is counted.
async fn settle(kernel: &Kernel) -> Snapshot {
    kernel.run_one_timeslice().await.unwrap();
    said();
    kernel.snapshot()
}

fn id(snapshot: &Snapshot, name: &str) -> SessionId {
    snapshot.resolve_alias(name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_child_is_one_reference_of_its_parent_and_none_of_its_grandparent() {
    let kernel = kernel();
    assert_eq!(kernel.session_count(), 0);
    let empty = kernel.snapshot();
    assert_eq!(empty.session_count(), 0, "POE counts the kernel as well");
    assert!(empty.get_session_children(kernel.id()).is_empty());
    assert_eq!(empty.get_session_parent(kernel.id()), None);
    let base = empty.kernel_refcount;

    chain(&["child", "grand", "great"]).create(&kernel).unwrap();
    let s = settle(&kernel).await;
    let [child, grand, great] = ["child", "grand", "great"].map(|name| id(&s, name));
    assert_eq!(s.session_count(), 3);
    assert_eq!(s.get_session_children(kernel.id()), [child]);
    assert_eq!(s.get_session_children(child), [grand]);
    assert_eq!(s.get_session_children(grand), [great]);
    assert!(s.get_session_children(great).is_empty());
    assert_eq!(s.get_session_parent(child), Some(kernel.id()));
    assert_eq!(s.get_session_parent(grand), Some(child));
    assert_eq!(s.get_session_parent(great), Some(grand));
    assert!(s.is_session_child(child, grand) && s.is_session_child(kernel.id(), child));
    assert!(!s.is_session_child(child, great), "a grandchild is no child");
    assert!(!s.is_session_child(grand, child));
    assert_eq!(s.kernel_refcount, base + 1);
    // An alias each, and a child each but for the last.
    assert_eq!([child, grand, great].map(|id| s.get_session_refcount(id)), [2, 2, 1]);
    kernel.stop_all().unwrap();
    assert_eq!(kernel.snapshot().kernel_refcount, base);
}

#[tokio::test(start_paused = true)]
async fn a_moved_child_takes_its_own_along() {
    let kernel = kernel();
    let base = kernel.snapshot().kernel_refcount;
    chain(&["child", "grand", "great"]).create(&kernel).unwrap();
    settle(&kernel).await;
    kernel.call::<(), ()>("grand", "detach", ()).unwrap();
    let s = kernel.snapshot();
    let [child, grand, great] = ["child", "grand", "great"].map(|name| id(&s, name));
    assert_eq!(s.get_session_parent(child), Some(kernel.id()));
    assert_eq!(s.get_session_parent(grand), Some(kernel.id()));
    assert_eq!(s.get_session_parent(great), Some(grand));
    let mut of_kernel = s.get_session_children(kernel.id());
    of_kernel.sort();
    assert_eq!(of_kernel, [child, grand]);
    assert!(s.get_session_children(child).is_empty());
    assert_eq!([child, grand, great].map(|id| s.get_session_refcount(id)), [1, 2, 1]);
    assert_eq!(s.kernel_refcount, base + 2);
    said();

    // One that is collected leaves the others be. (The reference keeps the kernel from being idle.)
    kernel.refcount_increment(great, "held").unwrap();
    kernel.call::<(), ()>("child", "let go", ()).unwrap();
    kernel.post(great, "bye", ()).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    let s = kernel.snapshot();
    assert_eq!(said(), ["child stop"]);
    assert_eq!(s.get_session_children(kernel.id()), [grand]);
    assert_eq!(s.get_session_parent(child), None);
    assert!(s.get_session_children(child).is_empty());
    assert!(!s.is_session_child(child, child));
    kernel.stop_all().unwrap();
    assert_eq!(kernel.snapshot().session_count(), 0);
}

/// POE's `ses_stop` of the middle one; a machine's `stop` is the way to that from outside of the tables.
#[tokio::test(start_paused = true)]
async fn a_stopped_middle_gives_its_child_to_its_parent_which_is_collected_then() {
    let kernel = kernel();
    let base = kernel.snapshot().kernel_refcount;
    let machine = poe::Nfa::builder(())
        .state("only", |s| {
            s.on("enter", |cx, ()| -> HandlerResult {
                cx.alias_set("grand")?;
                cx.create(chain(&["great"]))?;
                Ok(())
            })
            .on("stop", |cx, ()| cx.stop())
            .on(poe::event::CHILD, |_, _| ())
        })
        .enter("only", "enter", ())
        .start(&kernel)
        .unwrap()
        .id();
    let s = settle(&kernel).await;
    let great = id(&s, "great");
    assert_eq!(s.get_session_parent(great), Some(machine));
    kernel.post(machine, "stop", ()).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    kernel.run_one_timeslice().await.unwrap();
    let s = kernel.snapshot();
    assert!(!kernel.is_alive(machine));
    assert_eq!(s.get_session_children(kernel.id()), [great]);
    assert_eq!(s.get_session_parent(great), Some(kernel.id()));
    assert_eq!(s.kernel_refcount, base + 1);
    assert_eq!(said(), ["great parent ? to kernel"]);

    kernel.call::<(), ()>("great", "let go", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["great stop"]);
    let s = kernel.snapshot();
    assert!(s.get_session_children(kernel.id()).is_empty());
    assert_eq!((s.kernel_refcount, s.session_count()), (base, 0));
}

#[tokio::test(start_paused = true)]
async fn a_missing_session_is_no_parent_child_or_target() {
    let stranger = life("stranger", nothing).create(&kernel()).unwrap();
    let kernel = kernel();
    let s = kernel.snapshot();
    assert_eq!(s.resolve(stranger), None);
    assert_eq!(s.get_session_parent(stranger), None);
    assert!(s.get_session_children(stranger).is_empty());
    assert!(!s.is_session_child(stranger, kernel.id()) && !s.is_session_child(kernel.id(), stranger));
    assert_eq!(s.get_session_refcount(stranger), 0);
    assert!(s.session(stranger).is_none());
    assert!(
        kernel
            .refcount_increment(stranger, "tag")
            .unwrap_err()
            .is_no_such_session()
    );
    assert!(
        kernel
            .refcount_decrement(stranger, "tag")
            .unwrap_err()
            .is_no_such_session()
    );
    assert!(kernel.signal(stranger, "KILL", ()).unwrap_err().is_no_such_session());
    assert!(
        kernel
            .refcount_increment(kernel.id(), "tag")
            .unwrap_err()
            .is_no_such_session()
    );
}
