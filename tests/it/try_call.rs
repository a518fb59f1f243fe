//! Needs of an author of a satellite crate: calls that contain failures, contexts without a heap, names and data of a kernel.

use crate::laws_kit::{kernel, said, say};
use poe::event::START;
use poe::extend::{Caller, Nested};
use poe::{AnyArg, Event, Failure, HandlerResult, Kernel, Reply, Session, SessionId};
use std::cell::Cell;

const ADD: Event<(u64, u64), u64> = Event::new("add");

fn calculator(kernel: &Kernel) -> SessionId {
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("DIE", "die");
            cx.alias_set("calculator")
        })
        .on("die", |_, _: poe::Signal| say("DIE"))
        .on(ADD, |_, (a, b)| Reply(a + b))
        .on("fail", |_, ()| -> HandlerResult { Err("no such thing")? })
        .on("panic", |_, ()| panic!("a bug"))
        .create(kernel)
        .unwrap()
}

/// The same from outside and from inside a handler.
fn contained(mut call: impl FnMut(&'static str, AnyArg) -> Result<AnyArg, poe::CallError<AnyArg>>) {
    let sum = call("add", AnyArg::new((20_u64, 22_u64))).unwrap();
    assert_eq!(sum.downcast::<u64>().unwrap(), 42);
    let failed = call("fail", AnyArg::new(())).unwrap_err();
    assert!(failed.is_died());
    assert_eq!(failed.failure().unwrap().to_string(), "no such thing");
    let panicked = call("panic", AnyArg::new(())).unwrap_err();
    assert!(panicked.failure().unwrap().is_panic());
    let refused = call("add", AnyArg::new("twenty")).unwrap_err();
    assert!(refused.is_wrong_argument() && refused.failure().is_none(), "{refused}");
    assert_eq!(refused.into_arg().unwrap().downcast::<&str>().unwrap(), "twenty");
    let unhandled = call("subtract", AnyArg::new(7_u8)).unwrap_err();
    assert!(unhandled.is_unhandled());
    assert!(unhandled.into_arg().unwrap().is::<u8>());
}

#[tokio::test(start_paused = true)]
async fn try_call_contains_failures_and_returns_refused_arguments() {
    let kernel = kernel();
    let id = calculator(&kernel);
    contained(|event, arg| kernel.try_call(id, event, arg));
    Session::builder(())
        .on(START, move |cx, ()| contained(|event, arg| cx.try_call(id, event, arg)))
        .create(&kernel)
        .unwrap();
    let gone = kernel.try_call("nobody", ADD, (1, 2)).unwrap_err();
    assert!(gone.is_no_such_session());
    assert_eq!(gone.into_arg(), Some((1, 2)));
    assert!(kernel.is_alive(id), "no DIE stopped it");
    assert_eq!(said(), [""; 0], "no DIE was raised");
    // A plain call of the same handler raises one.
    assert!(kernel.call::<_, ()>(id, "fail", ()).unwrap_err().is_died());
    let _ = kernel.run_one_timeslice().await;
    assert_eq!(said(), ["DIE"]);
}

#[tokio::test(start_paused = true)]
async fn try_call_into_the_session_itself_contains_a_panic_and_lends_the_heap() {
    let kernel = kernel();
    Session::builder(0_u32)
        .on(START, |cx, ()| {
            let me = cx.session_id();
            let failed = cx.try_call::<_, ()>(me, "panic", ()).unwrap_err();
            assert!(failed.failure().unwrap().is_panic());
            assert_eq!(*cx.heap, 1, "the heap is back");
        })
        .on("panic", |cx, ()| {
            *cx.heap += 1;
            panic!("a bug")
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nested_creates_calls_and_returns_the_heap() {
    fn on_connect(cx: &mut Nested<'_>) -> Result<SessionId, Failure> {
        let child = cx.create(
            Session::builder(())
                .on(START, |_, ()| ())
                .on(ADD, |_, (a, b)| Reply(a + b)),
        )?;
        assert_eq!(cx.call(child, ADD, (1, 2))?, 3);
        Ok(child)
    }
    let kernel = kernel();
    Session::builder(vec![1])
        .on(START, |cx, ()| -> HandlerResult {
            let child = cx.nested(on_connect)?;
            cx.heap.push(2);
            assert_eq!(cx.snapshot().session(child).unwrap().parent, cx.session_id());
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_helper_takes_the_kernel_and_a_context() {
    fn helper(mut caller: impl Caller) -> u64 {
        let id = caller
            .create(
                Session::builder(())
                    .on(START, |_, ()| ())
                    .on(ADD, |_, (a, b)| Reply(a + b)),
            )
            .unwrap();
        caller.call(id, ADD, (2, 3)).unwrap()
    }
    let kernel = kernel();
    assert_eq!(helper(&kernel), 5);
    Session::builder(())
        .on(START, |cx, ()| {
            assert_eq!(helper(&mut *cx), 5);
            assert_eq!(helper(cx), 5);
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn handlers_see_names_numbers_and_the_kernels_own_data() {
    #[derive(Default)]
    struct Counter(Cell<u32>);
    let kernel = Kernel::builder().name("Pulse").build();
    let id = calculator(&kernel);
    kernel.extension::<Counter>().0.set(7);
    Session::builder(())
        .on(START, move |cx, ()| {
            let mut names: Vec<_> = cx
                .event_names_of("calculator")
                .iter()
                .map(ToString::to_string)
                .collect();
            names.sort();
            assert_eq!(names, ["_start", "add", "die", "fail", "panic"]);
            assert!(cx.event_names_of("nobody").is_empty());
            assert_eq!(cx.session_by_number(id.get()), Some(id));
            assert_eq!(cx.session_by_number(99), None);
            assert_eq!(&*cx.kernel_name(), "Pulse");
            assert_eq!(cx.extension::<Counter>().0.get(), 7);
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(
        Kernel::new().extension::<Counter>().0.get(),
        0,
        "each kernel has its own"
    );
    kernel.stop_all().unwrap();
}

/// A type that is no error but converts to a boxed one, as `anyhow::Error` does.
#[derive(Debug)]
struct Anyhow(String);

impl From<Anyhow> for Box<dyn std::error::Error + Send + Sync> {
    fn from(error: Anyhow) -> Self {
        error.0.into()
    }
}

#[test]
fn a_failure_is_made_from_texts_boxes_and_what_converts_to_a_box() {
    fn text() -> HandlerResult {
        Err("a text")?
    }
    fn string() -> HandlerResult {
        Err(String::from("a string"))?
    }
    fn boxed() -> HandlerResult {
        let error: Box<dyn std::error::Error + Send + Sync> = Box::new(std::io::Error::other("boxed"));
        Err(error)?
    }
    fn anyhow() -> HandlerResult {
        Err(Anyhow("context".to_owned()))?
    }
    fn plain() -> HandlerResult {
        Err(std::io::Error::other("plain"))?
    }
    let texts = [text(), string(), boxed(), anyhow(), plain()].map(|failed| failed.unwrap_err().to_string());
    assert_eq!(texts, ["a text", "a string", "boxed", "context", "plain"]);
    assert!(boxed().unwrap_err().source().unwrap().is::<std::io::Error>());
}
