//! `t/10_units/03_base/13_assert_data.t`: targets that are nobody, an object that is made a session twice, and a session
//! that is not known.

use crate::laws_kit::*;
use poe::{
    AnyArg, KernelRef, Name,
    extend::{Invoke, Invoked},
};
use std::rc::Rc;

#[tokio::test(start_paused = true)]
async fn a_missing_target_is_refused() {
    let kernel = kernel();
    life("S", |cx| {
        let refused = cx.signal("moo", "signal", 7).unwrap_err();
        assert!(refused.is_no_such_session() && refused.to_string().contains("`moo`"));
        assert_eq!(refused.into_arg(), 7);
        let refused = cx.post("moo", "bar", 8).unwrap_err();
        assert!(refused.is_no_such_session() && refused.to_string().contains("`moo`"));
        assert_eq!(refused.into_arg(), 8);
        let refused = cx.call::<i32, ()>("moo", "bar", 9).unwrap_err();
        assert!(refused.is_no_such_session() && refused.to_string().contains("`moo`"));
        assert_eq!(refused.into_arg(), Some(9));
        assert!(cx.alias_list_of("moo").unwrap_err().is_no_such_session());
    })
    .create(&kernel)
    .unwrap();
    assert!(kernel.signal("moo", "signal", ()).unwrap_err().is_no_such_session());
    assert!(kernel.post("moo", "bar", ()).unwrap_err().is_no_such_session());
    assert!(
        kernel
            .call::<(), ()>("moo", "bar", ())
            .unwrap_err()
            .is_no_such_session()
    );
    run(&kernel).await;
    assert_eq!(said(), ["S stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_to_detach_must_be_known() {
    let stranger = life("stranger", nothing).create(&kernel()).unwrap();
    let kernel = kernel();
    life("S", move |cx| {
        assert!(cx.detach_child(stranger).unwrap_err().is_no_such_session());
        // The kernel is a session too, and nobody's child.
        assert!(cx.detach_child(cx.kernel_id()).unwrap_err().is_not_permitted());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop"]);
}

struct Object;

impl Invoke for Object {
    fn invoke(&self, turn: KernelRef<'_>, _: &mut AnyArg) -> Invoked {
        say(format!("{} {}", turn.session_id(), turn.event()));
        Invoked::Returned
    }

    fn event_names(&self) -> Vec<Name> {
        Vec::new()
    }
}

/// POE keeps the ID in the object, and so an object can be a session once; here two sessions may share it.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_entered_twice_is_two_sessions() {
    let kernel = kernel();
    let object = Rc::new(Object);
    let first = kernel.session_alloc(object.clone(), AnyArg::new(())).unwrap();
    let second = kernel.session_alloc(object.clone(), AnyArg::new(())).unwrap();
    assert_ne!(first, second);
    run(&kernel).await;
    assert_eq!(Rc::strong_count(&object), 1);
    assert_eq!(said(), ["1 _start", "2 _start", "2 _stop", "1 _stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_gone_has_no_alarms() {
    let kernel = kernel();
    life("S", go)
        .on("go", |cx, ()| {
            cx.delay("bye", ms(1), ());
            cx.stop_all();
            assert!(cx.alarm_remove_all().is_empty());
            say("asked");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop", "asked"]);
}
