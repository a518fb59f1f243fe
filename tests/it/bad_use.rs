//! Misuse: each mistake, and the exact text of its error. Mistakes that do not compile are in
//! `tests/ui`.

use poe::component::TcpServer;
use poe::event::START;
use poe::testing;
use poe::{Event, Kernel, KernelHandle, Reply, Session, SessionId, Signal, TimerId};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const GREET: Event<String> = Event::new("greet");
const COUNT: Event<u8, u64> = Event::new("count");
const GO: Event<()> = Event::new("go");

/// A session that does nothing and that nothing keeps alive.
fn idle(kernel: &Kernel) -> SessionId {
    Session::builder(()).on(START, |_, ()| ()).create(kernel).unwrap()
}

/// A session that has stopped.
async fn dead(kernel: &Kernel) -> SessionId {
    let id = idle(kernel);
    kernel.run().await.unwrap();
    id
}

/// Runs `f` in a handler of a new session.
async fn in_handler(kernel: &Kernel, f: impl Fn(&mut poe::Context<'_, ()>) + 'static) {
    Session::builder(())
        .on(START, move |cx, ()| f(cx))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_post_to_a_dead_session_comes_back() {
    let kernel = testing::kernel();
    let id = dead(&kernel).await;
    let refused = kernel.post(id, GREET, "hello".to_owned()).unwrap_err();
    assert!(refused.is_no_such_session());
    assert_eq!(refused.to_string(), "cannot post `greet`: no session 1");
    assert_eq!(refused.into_arg(), "hello");
    in_handler(&kernel, move |cx| {
        let refused = cx.post(id, GREET, "hello".to_owned()).unwrap_err();
        assert_eq!(refused.to_string(), "cannot post `greet`: no session 1");
        assert_eq!(refused.into_arg(), "hello");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_post_to_an_unknown_alias_comes_back() {
    let kernel = testing::kernel();
    let refused = kernel.post("nobody", GREET, "hello".to_owned()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot post `greet`: no session has the alias `nobody`"
    );
    assert_eq!(
        format!("{refused:?}"),
        "PostError(cannot post `greet`: no session has the alias `nobody`)"
    );
    assert_eq!(refused.into_arg(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_missing_session_returns_its_argument() {
    let kernel = testing::kernel();
    let id = dead(&kernel).await;
    let refused = kernel.call(id, COUNT, 7).unwrap_err();
    assert_eq!(refused.to_string(), "cannot call `count`: no session 1");
    assert_eq!(refused.into_arg(), Some(7));
    in_handler(&kernel, |cx| {
        let refused = cx.call("nobody", COUNT, 7).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "cannot call `count`: no session has the alias `nobody`"
        );
        assert_eq!(refused.into_arg(), Some(7));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_handler_comes_back() {
    let kernel = testing::kernel();
    let id = idle(&kernel);
    let refused = kernel.call(id, COUNT, 7).unwrap_err();
    assert!(refused.is_unhandled());
    assert_eq!(
        refused.to_string(),
        "cannot call `count`: session 1 has no handler for it"
    );
    assert_eq!(refused.into_arg(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn an_identifier_of_another_kernel_finds_nothing() {
    let (kernel, other) = (testing::kernel(), testing::kernel());
    let (id, foreign) = (idle(&kernel), idle(&other));
    assert_eq!(id.get(), foreign.get());
    let refused = kernel.post(foreign, GREET, "hello".to_owned()).unwrap_err();
    assert!(refused.is_no_such_session());
    assert!(kernel.post(other.id(), GREET, "hello".to_owned()).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_argument_of_the_wrong_type_by_a_bare_name_names_event_types_and_place() {
    let kernel = testing::kernel();
    let seen = Rc::new(RefCell::new(None));
    let log = seen.clone();
    let id = Session::builder(())
        .on(START, |cx, ()| cx.sig("DIE", "on die"))
        .on("rename", |_, _: String| unreachable!())
        .on("on die", move |cx, signal: Signal| {
            *log.borrow_mut() = signal.die().cloned();
            cx.sig_handled();
        })
        .create(&kernel)
        .unwrap();
    let line = line!() + 1;
    kernel.post(id, "rename", 7).unwrap();
    kernel.run().await.unwrap();

    let die = seen.borrow_mut().take().unwrap();
    let text = die.failure.to_string();
    let expected =
        format!("event `rename` takes `alloc::string::String` but was sent `i32` at tests/it/bad_use.rs:{line}:");
    assert!(text.starts_with(&expected), "{text}");
    let wrong = die.failure.wrong_type().unwrap();
    assert_eq!(
        (&*wrong.event, wrong.expected, wrong.sent),
        ("rename", "alloc::string::String", "i32")
    );
    assert_eq!((die.place.file(), die.place.line()), ("tests/it/bad_use.rs", line));
    assert_eq!((&*die.event, die.session, die.sender), ("rename", id, kernel.id()));
}

#[tokio::test(start_paused = true)]
async fn an_unhandled_wrong_argument_ends_the_run_with_the_same_text() {
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("add", (1, 2)))
        .on("add", |_, (_, _): (u64, u64)| ())
        .create(&kernel)
        .unwrap();
    let error = kernel.run().await.unwrap_err();
    assert!(error.is_died());
    let text = error.to_string();
    let expected = "event `add` of session 1 failed: event `add` takes `(u64, u64)` but was sent `(i32, i32)` at ";
    assert!(text.starts_with(expected), "{text}");
}

/// A number literal without a type is the usual cause, which the text mentions.
#[tokio::test(start_paused = true)]
async fn a_literal_of_the_wrong_type_has_its_remedy_in_the_error() {
    async fn text<Sent: Copy + 'static, Taken: 'static>(arg: Sent) -> String {
        let kernel = testing::kernel();
        Session::builder(())
            .on(START, move |cx, ()| cx.yield_to("count", arg))
            .on("count", |_, _: Taken| ())
            .create(&kernel)
            .unwrap();
        let error = kernel.run().await.unwrap_err();
        let text = error.failure().unwrap().to_string();
        text.split_once(" (").map_or(String::new(), |(_, hint)| hint.to_owned())
    }
    let integer = "an integer literal is `i32` unless it says otherwise: use a typed key, or write";
    assert_eq!(text::<_, u32>(5).await, format!("{integer} `5_u32`)"));
    assert_eq!(text::<_, f64>(5).await, format!("{integer} `5_f64`)"));
    assert_eq!(text::<_, (&str, u64)>(("five", 5)).await, format!("{integer} `5_u64`)"));
    assert_eq!(
        text::<_, Option<[u8; 3]>>(Some([1, 2, 3])).await,
        format!("{integer} `5_u8`)")
    );
    assert_eq!(
        text::<_, f32>(0.5).await,
        "a float literal is `f64` unless it says otherwise: use a typed key, or write `0.5_f32`)"
    );
    // If something else is wrong, too, or no literal is the cause:
    assert_eq!(text::<_, (u64, String)>((5, "five")).await, "");
    assert_eq!(text::<_, u32>(Some(5)).await, "");
    assert_eq!(text::<_, i32>(5_u32).await, "");
    assert_eq!(text::<_, u32>((5,)).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_another_type_names_both() {
    let kernel = testing::kernel();
    let id = Session::builder(())
        .on(START, |_, ()| ())
        .on("count", |_, _: u8| Reply("seven"))
        .create(&kernel)
        .unwrap();
    let error = kernel.call(id, COUNT, 7).unwrap_err();
    assert!(error.is_wrong_reply());
    assert_eq!(error.to_string(), "cannot call `count`: the reply is `&str`, not `u64`");
}

#[tokio::test(start_paused = true)]
async fn an_alias_that_is_taken_names_its_owner() {
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("logger"))
        .create(&kernel)
        .unwrap();
    in_handler(&kernel, |cx| {
        let error = cx.alias_set("logger").unwrap_err();
        assert!(error.is_alias_taken());
        assert_eq!(error.to_string(), "the alias `logger` is taken by session 1");
        let error = cx.alias_remove("logger").unwrap_err();
        assert!(error.is_not_permitted());
        assert_eq!(error.to_string(), "not permitted: the alias belongs to another session");
        let error = cx.alias_remove("nothing").unwrap_err();
        assert!(error.is_no_such_alias());
        assert_eq!(error.to_string(), "no session has the alias `nothing`");
        let error = cx.alias_resolve("nothing").unwrap_err();
        assert_eq!(error.to_string(), "no such session: no session has the alias `nothing`");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_timer_is_not_permitted_and_a_fired_one_unknown() {
    let kernel = testing::kernel();
    let foreign: Rc<Cell<Option<TimerId>>> = Rc::default();
    let set = foreign.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            set.set(Some(cx.delay_set(GO, Duration::from_secs(1), ())))
        })
        .on(GO, |_, ()| ())
        .create(&kernel)
        .unwrap();
    let id = foreign.clone();
    in_handler(&kernel, move |cx| {
        let id = id.get().unwrap();
        for error in [
            cx.alarm_adjust(id, 1.0).unwrap_err(),
            cx.delay_adjust(id, 1.0).unwrap_err(),
            cx.alarm_remove(id).unwrap_err(),
        ] {
            assert!(error.is_not_permitted());
            assert_eq!(error.to_string(), "not permitted: the timer belongs to another session");
        }
    })
    .await;
    in_handler(&kernel, move |cx| {
        let id = foreign.get().unwrap();
        let error = cx.alarm_remove(id).unwrap_err();
        assert!(error.is_no_such_timer());
        assert_eq!(error.to_string(), "no timer 1: it has fired or was removed");
        assert!(cx.alarm_adjust(id, 1.0).unwrap_err().is_no_such_timer());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_count_that_is_not_held_is_named() {
    let kernel = testing::kernel();
    let id = idle(&kernel);
    let error = kernel.refcount_decrement(id, "mine").unwrap_err();
    assert!(error.is_no_such_tag());
    assert_eq!(error.to_string(), "session 1 holds no reference count `mine`");
    let id = dead(&kernel).await;
    let error = kernel.refcount_increment(id, "mine").unwrap_err();
    assert_eq!(error.to_string(), "no such session: 2");
}

#[tokio::test(start_paused = true)]
async fn a_session_without_start_says_where() {
    let kernel = testing::kernel();
    let line = line!() + 1;
    let error = Session::builder(()).on(GO, |_, ()| ()).create(&kernel).unwrap_err();
    assert!(error.is_no_start());
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("the session made at tests/it/bad_use.rs:{line}:")),
        "{text}"
    );
    assert!(
        text.ends_with(" has no `_start` handler: add `.on(START, ..)`"),
        "{text}"
    );
    assert_eq!(kernel.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_created_during_a_shutdown() {
    let kernel = testing::kernel();
    let refused = Rc::new(Cell::new(false));
    let seen = Rc::clone(&refused);
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig(poe::KERNEL_SHUTDOWN, "asked to end");
            cx.alias_set("server")
        })
        .on("asked to end", move |cx, _: Signal| {
            let error = cx.create(Session::builder(()).on(START, |_, ()| ())).unwrap_err();
            assert!(error.is_shutting_down());
            assert_eq!(
                error.to_string(),
                "the kernel is shutting down and creates no new sessions"
            );
            seen.set(true);
        })
        .create(&kernel)
        .unwrap();
    assert!(kernel.shutdown(Duration::from_secs(5)).await.is_clean());
    assert!(refused.get());
}

#[tokio::test(start_paused = true)]
async fn run_beside_run_is_refused_and_harms_nothing() {
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.delay(GO, Duration::from_secs(1), ()))
        .on(GO, |_, ()| ())
        .create(&kernel)
        .unwrap();
    let (first, second, third) = tokio::join!(kernel.run(), kernel.run(), kernel.serve());
    first.unwrap();
    for error in [second.unwrap_err(), third.unwrap_err()] {
        assert!(error.is_already_running());
        assert_eq!(
            error.to_string(),
            "the kernel is already running: `run` was called inside `run`"
        );
    }
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn run_inside_a_handler_is_refused() {
    let kernel = testing::kernel();
    let inner = kernel.clone();
    let ran = Rc::new(Cell::new(0));
    let count = ran.clone();
    in_handler(&kernel, move |cx| {
        // By hand, in the handler itself …
        let mut task = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = pin!(inner.run()).poll(&mut task) else {
            panic!("`run` waits inside `run`")
        };
        assert!(result.unwrap_err().is_already_running());
        let Poll::Ready(result) = pin!(inner.run_one_timeslice()).poll(&mut task) else {
            panic!("it waits")
        };
        assert!(result.unwrap_err().is_already_running());
        // … and in work that the kernel itself polls.
        let (inner, count) = (inner.clone(), count.clone());
        let inside = async move {
            assert!(inner.run().await.unwrap_err().is_already_running());
            count.set(count.get() + 1);
        };
        cx.spawn(inside, GO);
    })
    .await;
    assert_eq!(ran.get(), 1);
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn what_runs_handlers_is_busy_through_a_cloned_kernel_inside_a_handler() {
    let kernel = testing::kernel();
    let inner = kernel.clone();
    let target = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("target"))
        .on(COUNT, |_, n| Reply(u64::from(n)))
        .create(&kernel)
        .unwrap();
    let tried = Rc::new(Cell::new(false));
    let done = tried.clone();
    in_handler(&kernel, move |cx| {
        let error = inner.call(target, COUNT, 7).unwrap_err();
        assert!(error.is_busy());
        assert_eq!(
            error.to_string(),
            "cannot call `count`: the kernel is running a handler: call through the handler's context"
        );
        assert_eq!(error.into_arg(), Some(7));

        let error = Session::builder(())
            .on(START, |_, ()| unreachable!())
            .create(&inner)
            .unwrap_err();
        assert!(error.is_busy());
        assert_eq!(
            error.to_string(),
            "the kernel is running a handler: creating a session calls handlers, \
             so it must go through that handler's context"
        );

        let error = inner.stop_all().unwrap_err();
        assert!(error.is_busy());
        assert_eq!(
            error.to_string(),
            "the kernel is running a handler: stop calls handlers, so it must go through that handler's context"
        );

        // Operations that only queue are allowed, and so are the context's methods.
        inner.post(target, COUNT, 8).unwrap();
        assert_eq!(cx.call(target, COUNT, 7).unwrap(), 7);
        cx.create(Session::builder(()).on(START, |_, ()| ())).unwrap();
        done.set(true);
    })
    .await;
    assert!(tried.get());
}

#[tokio::test(start_paused = true)]
async fn a_detach_of_what_is_no_child_is_refused() {
    let kernel = testing::kernel();
    let stranger = idle(&kernel);
    in_handler(&kernel, move |cx| {
        assert!(cx.detach_myself().unwrap_err().is_not_permitted());
        assert!(cx.detach_child(stranger).unwrap_err().is_not_permitted());
    })
    .await;
}

#[test]
fn a_handle_to_a_kernel_that_is_gone_says_so() {
    let kernel = Kernel::new();
    let handle: KernelHandle = kernel.handle();
    drop(kernel);
    assert!(handle.is_closed());
    let refused = handle.post("anybody", GREET, "hello".to_owned()).unwrap_err();
    assert!(refused.is_closed());
    assert_eq!(refused.to_string(), "cannot post `greet`: the kernel is gone");
    assert_eq!(refused.into_arg(), "hello");
    let refused = handle.signal("anybody", "TERM", "bye".to_owned()).unwrap_err();
    assert_eq!(refused.to_string(), "cannot post `TERM`: the kernel is gone");
    assert_eq!(refused.into_arg(), "bye");
}

#[tokio::test(start_paused = true)]
async fn a_failure_passed_on_by_question_mark_keeps_its_words() {
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.post("logger", GREET, "hello".to_owned())?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let error = kernel.run().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "event `_start` of session 1 failed: cannot post `greet`: no session has the alias `logger`"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_or_has_no_port_is_named() {
    let kernel = Kernel::new();
    let server = |addr: String| TcpServer::builder(addr).client_input(|cx, line| cx.client().put(line));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let error = server(addr.clone()).start(&kernel).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen at {addr}: ")), "{text}");
    assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(format!("{error:?}"), text, "what `main` prints");
    for name in ["127.0.0.1", "localhost", "::1"] {
        let error = server(name.to_owned()).start(&kernel).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot listen at {name}: ")), "{text}");
        assert!(text.contains("a port is missing"), "{text}");
    }
}

/// Programs that must not compile, with the compiler's messages. They change from version to version, so they are
/// compared only with the version that they were written for.
#[test]
#[ignore = "it builds the crate once more, which takes half a minute: the full check asks for it"]
fn what_must_not_compile_does_not_and_says_why() {
    const WRITTEN_FOR: &str = "1.95.";
    let version = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("--version")
        .output()
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    if !version.starts_with(&format!("rustc {WRITTEN_FOR}")) {
        println!("skipped: tests/ui was written for rustc {WRITTEN_FOR}x, this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
