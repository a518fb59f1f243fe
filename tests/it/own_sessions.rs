//! A session type written outside the crate: handlers by name at run time, options, a heap of any type, and everything
//! that a handler can do.

use crate::laws_kit::{epoch, kernel, ms, run, said, say};
use crate::peek_kit::Peek as _;
use poe::event::{CHILD, Child, PARENT, START, STOP};
use poe::{
    AnyArg, Event, Failure, Kernel, KernelRef, Name, Reply, Session, SessionId,
    extend::{Invoke, Invoked, Nested},
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

const DOUBLE: Event<u64, u64> = Event::new("double");

type Handler = Rc<dyn Fn(&Dynamic, &mut Nested<'_>, &mut AnyArg) -> Result<AnyArg, Failure>>;

/// Handlers in a map, which change at run time; the heap is a table of any values, as in POE.
#[derive(Default)]
struct Dynamic {
    handlers: RefCell<BTreeMap<String, Handler>>,
    heap: RefCell<BTreeMap<&'static str, AnyArg>>,
    options: RefCell<BTreeMap<String, String>>,
}

impl Dynamic {
    fn on(
        self,
        event: &str,
        handler: impl Fn(&Dynamic, &mut Nested<'_>, &mut AnyArg) -> Result<AnyArg, Failure> + 'static,
    ) -> Self {
        self.register(event, handler);
        self
    }

    /// POE's `_register_state`.
    fn register(
        &self,
        event: &str,
        handler: impl Fn(&Dynamic, &mut Nested<'_>, &mut AnyArg) -> Result<AnyArg, Failure> + 'static,
    ) {
        let old = self.handlers.borrow_mut().insert(event.to_owned(), Rc::new(handler));
        drop(old);
    }

    fn create(self, kernel: &Kernel, args: impl Sized + 'static) -> SessionId {
        kernel.session_alloc(Rc::new(self), AnyArg::new(args)).unwrap()
    }
}

impl Invoke for Dynamic {
    fn invoke(&self, turn: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        let handlers = self.handlers.borrow();
        let found = handlers
            .get(turn.event().as_str())
            .or_else(|| handlers.get("_default"))
            .cloned();
        drop(handlers);
        let Some(handler) = found else {
            return Invoked::Unhandled;
        };
        let mut nested = turn.nested(self).unwrap();
        match handler(self, &mut nested, arg) {
            Ok(answer) => {
                turn.set_reply(answer);
                Invoked::Returned
            }
            Err(failure) => Invoked::Failed(failure),
        }
    }

    fn event_names(&self) -> Vec<Name> {
        self.handlers.borrow().keys().map(|name| Name::from(&**name)).collect()
    }

    fn heap_type(&self) -> &'static str {
        "a table"
    }

    fn options(&self) -> Vec<(String, String)> {
        self.options.borrow().clone().into_iter().collect()
    }

    fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
        let mut options = self.options.borrow_mut();
        match value {
            Some(value) => options.insert(name.to_owned(), value.to_owned()),
            None => options.remove(name),
        }
    }
}

fn nothing() -> Result<AnyArg, Failure> {
    Ok(AnyArg::new(()))
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_its_life_and_its_events_with_their_arguments() {
    let kernel = kernel();
    let log = |_: &Dynamic, cx: &mut Nested<'_>, arg: &mut AnyArg| {
        say(format!("{} {}", cx.event(), arg.type_name()));
        nothing()
    };
    let id = Dynamic::default()
        .on("_start", log)
        .on("_default", log)
        .create(&kernel, "an argument".to_owned());
    kernel.post(id, "event", 7_u8).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["_start alloc::string::String", "event u8", "_stop ()"]);
}

#[tokio::test(start_paused = true)]
async fn handlers_are_set_at_run_time_also_by_the_handler_itself() {
    let kernel = kernel();
    let id = Dynamic::default()
        .on("_start", |_, _, _| nothing())
        .on("switch", |own, cx, _| {
            own.register("switch", |_, _, _| Ok(AnyArg::new("the second")));
            cx.yield_to("switch", ());
            Ok(AnyArg::new("the first"))
        })
        .create(&kernel, ());
    assert_eq!(kernel.call::<_, &str>(id, "switch", ()).unwrap(), "the first");
    assert_eq!(kernel.call::<_, &str>(id, "switch", ()).unwrap(), "the second");
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_event_list(id), ["_start", "switch"]);
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn its_heap_and_options_show_and_the_kernel_sets_default() {
    let kernel = poe::testing::builder().assert_states(true).build();
    let id = Dynamic::default()
        .on("_start", |own, _, _| {
            own.heap.borrow_mut().insert("n", AnyArg::new(1_u64));
            own.set_option("mine", Some("x"));
            nothing()
        })
        .create(&kernel, ());
    let snapshot = kernel.snapshot();
    let session = snapshot.session(id).unwrap();
    assert_eq!(session.heap_type, "a table");
    let options: Vec<_> = session.options.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(options, ["default=1", "mine=x"]);
}

#[tokio::test(start_paused = true)]
async fn it_does_all_that_runs_no_handler() {
    let kernel = kernel();
    let postback = Rc::new(RefCell::new(None));
    let kept = postback.clone();
    let id = Dynamic::default()
        .on("_start", move |_, cx, _| {
            cx.alias_set("dynamic")?;
            cx.delay_set("timer", ms(5), ());
            cx.alarm_set("past", epoch(1), ());
            cx.sig("USR1", "signal");
            cx.refcount_increment(cx.session_id(), "tag")?;
            cx.spawn(async { 7_u8 }, "spawned");
            *kept.borrow_mut() = Some(cx.postback::<u8, u8>("back", 1));
            nothing()
        })
        .on("_default", |_, cx, _| {
            say(cx.event());
            if cx.event() == "timer" {
                cx.refcount_decrement(cx.session_id(), "tag")?;
                cx.alias_remove("dynamic")?;
            }
            nothing()
        })
        .create(&kernel, ());
    assert_eq!(kernel.resolve("dynamic"), Some(id));
    let postback = postback.borrow_mut().take().unwrap();
    postback.post(2).unwrap();
    drop(postback);
    kernel.signal(id, "USR1", ()).unwrap();
    run(&kernel).await;
    let mut said = said();
    assert_eq!(said.pop().as_deref(), Some("_stop"));
    said.sort();
    assert_eq!(said, ["back", "past", "signal", "spawned", "timer"]);
}

#[tokio::test(start_paused = true)]
async fn it_creates_calls_and_detaches_and_is_entered_again_meanwhile() {
    let kernel = kernel();
    let depth = Cell::new(0);
    Dynamic::default()
        .on("_start", |_, cx, _| {
            let child = Session::builder(())
                .on(START, |cx, ()| {
                    cx.alias_set("child").unwrap();
                    Reply(5_u8)
                })
                .on(DOUBLE, |cx, n| {
                    let back: u64 = cx.call(cx.sender(), "plus one", 2 * n).unwrap();
                    Reply(back)
                })
                .on(PARENT, |cx, parent| {
                    say(format!("child {} to {}", parent.old, cx.snapshot().kernel_id))
                })
                .on(STOP, |_, ()| say("child stop"));
            let child = cx.create(child)?;
            assert_eq!(cx.call(child, DOUBLE, 10)?, 21);
            let me = cx.session_id();
            assert_eq!(cx.call::<_, u64>(me, "plus one", 1_u64)?, 2, "a call to itself");
            cx.detach_child(child)?;
            assert!(cx.detach_child(child).unwrap_err().is_not_permitted());
            assert!(cx.detach_myself().unwrap_err().is_not_permitted());
            nothing()
        })
        .on("plus one", move |_, _, arg| {
            depth.set(depth.get() + 1);
            Ok(AnyArg::new(arg.take::<u64>().unwrap() + 1))
        })
        .on("_child", |_, _, arg| {
            let child: Child = arg.take().unwrap();
            say(format!("child {} {}", child.reason, child.result.is_some()));
            nothing()
        })
        .create(&kernel, ());
    kernel.run().await.unwrap();
    assert_eq!(
        said()[..3],
        ["child create true", "child lose false", "child 1 to kernel"]
    );
}

#[tokio::test(start_paused = true)]
async fn it_stops_the_kernel_from_inside() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("other").unwrap())
        .on(CHILD, |_, _| ())
        .on(STOP, |_, ()| say("other stop"))
        .create(&kernel)
        .unwrap();
    Dynamic::default()
        .on("_start", |_, cx, _| {
            cx.yield_to("stop", ());
            nothing()
        })
        .on("stop", |_, cx, _| {
            cx.stop_all();
            assert!(cx.active_session().is_kernel());
            nothing()
        })
        .on("_stop", |_, _, _| {
            say("own stop");
            nothing()
        })
        .create(&kernel, ());
    run(&kernel).await;
    assert_eq!(said(), ["own stop", "other stop"]);
}

#[tokio::test(start_paused = true)]
async fn its_failures_and_panics_are_dies() {
    for (event, wanted) in [("fails", "on purpose"), ("panics", "it broke")] {
        let kernel = kernel();
        let id = Dynamic::default()
            .on("_start", |_, _, _| nothing())
            .on("fails", |_, _, _| Err(Failure::msg("on purpose")))
            .on("panics", |_, _, _| panic!("it broke"))
            .create(&kernel, ());
        kernel.post(id, event, ()).unwrap();
        let error = kernel.run().await.unwrap_err();
        assert!(error.is_died() && error.to_string().contains(wanted), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_nesting_gets_past_the_heap_of_a_session() {
    let kernel = kernel();
    let other = Rc::new(Dynamic::default().on("_start", |_, _, _| nothing()));
    let id = kernel.session_alloc(other.clone(), AnyArg::new(())).unwrap();
    Session::builder(())
        .on(START, move |cx, ()| {
            // Another session's object is not accepted for this one.
            assert!(cx.kernel.nested(&*other).unwrap_err().is_busy());
            assert!(cx.is_alive(id));
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}
