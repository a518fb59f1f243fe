//! Custom session types that wrap a session: a subclass of POE::Session, and the components' `SessionType`
//! and `SessionParams` (ST.p15, CT.p11).

use crate::laws_kit;
use crate::socket_kit::{Log, run, run_with, within};
use poe::component::{TcpClient, TcpServer};
use poe::event::{DEFAULT, START, STOP};
use poe::{
    AnyArg, Event, HandlerResult, Kernel, KernelRef, Name, Reply, Session, SessionId, Signal,
    extend::{Invoke, Invoked},
};
use std::cell::Cell;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ADD: Event<u64, u64> = Event::new("add");
const DIED: Event<Signal> = Event::new("died");
const FAIL: Event<()> = Event::new("fail");
const POSTED: Event<()> = Event::new("posted");

/// A session type that replies to one event itself, doubles a number on its way, and logs other events.
struct Special {
    session: Rc<dyn Invoke>,
    mark: &'static str,
    log: Log,
}

impl Special {
    fn around(mark: &'static str, log: &Log) -> impl Fn(Rc<dyn Invoke>) -> Rc<dyn Invoke> + 'static {
        let log = log.clone();
        move |session| {
            log.say(format!("{mark} made"));
            let log = log.clone();
            Rc::new(Special { session, mark, log })
        }
    }
}

impl Invoke for Special {
    fn invoke(&self, turn: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        let event = turn.event();
        if event == "identify" {
            turn.set_reply(AnyArg::new(self.mark));
            return Invoked::Returned;
        }
        if event == ADD.name()
            && let Some(n) = arg.take::<u64>()
        {
            *arg = AnyArg::new(2 * n);
        }
        let invoked = self.session.invoke(turn, arg);
        let came = match &invoked {
            Invoked::Returned => "",
            Invoked::Unhandled => " unhandled",
            Invoked::Failed(_) => " failed",
            other => panic!("{other:?}"),
        };
        self.log.say(format!("{} {event}{came}", self.mark));
        invoked
    }

    fn event_names(&self) -> Vec<Name> {
        let mut names = self.session.event_names();
        names.push(Name::from("identify"));
        names
    }

    fn heap_type(&self) -> &'static str {
        self.session.heap_type()
    }

    fn heap_size(&self) -> usize {
        self.session.heap_size()
    }

    fn options(&self) -> Vec<(String, String)> {
        self.session.options()
    }

    fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
        self.session.set_option(name, value)
    }
}

#[tokio::test(start_paused = true)]
async fn a_subclass_of_session_is_asked_first_and_leaves_the_rest_to_the_session() {
    let kernel = laws_kit::kernel();
    let log = Log::default();
    let id = Session::builder(1_u64)
        .on(START, |cx, n: u64| -> HandlerResult<Reply<&str>> {
            *cx.heap += n;
            cx.alias_set("special")?;
            let me = cx.session_id();
            // The heap is lent to a handler of its own, through the type of its own.
            assert_eq!(cx.call(me, ADD, 10)?, 22);
            assert_eq!(cx.call::<_, &str>(me, "identify", ())?, "a");
            cx.yield_to(POSTED, ());
            cx.post("special", "nothing for it", 7_u8)?;
            Ok(Reply("started"))
        })
        .on(ADD, |cx, n| {
            *cx.heap += n;
            Reply(*cx.heap)
        })
        .on(POSTED, |cx, ()| -> HandlerResult {
            cx.state("set at run time", |cx, ()| {
                *cx.heap = 0;
            });
            let child = cx.create(Session::builder(()).on(START, |_, ()| ()))?;
            assert!(cx.is_alive(child));
            cx.yield_to("set at run time", ());
            Ok(())
        })
        .on(DEFAULT, |_, unhandled| {
            if unhandled.event == "nothing for it" {
                assert_eq!(unhandled.arg.type_name(), "u8");
            }
        })
        .on(STOP, |cx, ()| assert_eq!(*cx.heap, 0))
        .args(1_u64)
        .option("colour", "green")
        .session_type(Special::around("a", &log))
        .create(&kernel)
        .unwrap();
    let snapshot = kernel.snapshot();
    let session = snapshot.session(id).unwrap();
    assert_eq!(session.heap_type, "u64");
    assert_eq!(session.options["colour"], "green");
    assert!(session.events.iter().any(|event| event == "identify"));
    laws_kit::run(&kernel).await;
    // They are noted when they are over, so the call is ahead of the handler that it was made in.
    let noted = [
        "a made",
        "a add",
        "a _start",
        "a _child",
        "a posted",
        "a nothing for it",
        "a set at run time",
        "a _child",
        "a _stop",
    ];
    assert_eq!(log.lines(), noted);
}

#[tokio::test(start_paused = true)]
async fn a_session_type_without_a_start_handler_in_its_session_is_never_made() {
    let kernel = laws_kit::kernel();
    let log = Log::default();
    let session = Session::builder(()).session_type(Special::around("a", &log));
    assert!(session.create(&kernel).unwrap_err().is_no_start());
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_session_type_sees_failures_and_may_keep_them_to_itself() {
    struct Forgiving(Rc<dyn Invoke>);
    impl Invoke for Forgiving {
        fn invoke(&self, turn: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
            match self.0.invoke(turn, arg) {
                Invoked::Failed(_) => Invoked::Returned,
                other => other,
            }
        }
        fn event_names(&self) -> Vec<Name> {
            self.0.event_names()
        }
    }
    for forgives in [true, false] {
        let kernel = laws_kit::kernel();
        let session = Session::builder(())
            .on(START, |cx, ()| cx.yield_to(FAIL, ()))
            .on(FAIL, |_, ()| Err::<(), _>(poe::Failure::msg("on purpose")));
        let session = match forgives {
            true => session.session_type(|session| Rc::new(Forgiving(session))),
            false => session.session_type(|session| session),
        };
        session.create(&kernel).unwrap();
        assert_eq!(kernel.run().await.is_ok(), forgives);
    }
}

/// What it runs at once it runs as the object that the kernel knows, so that the session may be among it.
#[tokio::test(start_paused = true)]
async fn a_session_type_runs_handlers_at_once_also_its_sessions_own() {
    struct Twice(Rc<dyn Invoke>);
    impl Invoke for Twice {
        fn invoke(&self, turn: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
            if turn.event() != "twice" {
                return self.0.invoke(turn, arg);
            }
            let mut nested = turn.nested(self).unwrap();
            let child = Session::builder(()).on(START, |_, ()| ()).on(ADD, |_, n| Reply(n + 1));
            let child = nested.create(child).unwrap();
            let me = nested.session_id();
            let first = nested.call(me, ADD, 20).unwrap();
            let second = nested.call(me, ADD, first).unwrap();
            turn.set_reply(AnyArg::new(nested.call(child, ADD, second).unwrap()));
            Invoked::Returned
        }
        fn event_names(&self) -> Vec<Name> {
            self.0.event_names()
        }
    }
    let kernel = laws_kit::kernel();
    let id = Session::builder(1_u64)
        .on(START, |cx, ()| cx.yield_to(POSTED, ()))
        .on(ADD, |cx, n| {
            *cx.heap += n;
            Reply(*cx.heap)
        })
        .on(POSTED, |cx, ()| -> HandlerResult {
            let me = cx.session_id();
            // From inside a handler, whose heap is lent to those that it leads to.
            assert_eq!(cx.call::<_, u64>(me, "twice", ())?, 125);
            assert_eq!(*cx.heap, 124);
            Ok(())
        })
        .session_type(|session| Rc::new(Twice(session)))
        .create(&kernel)
        .unwrap();
    assert_eq!(kernel.call::<_, u64>(id, "twice", ()).unwrap(), 43);
    laws_kit::run(&kernel).await;
}

/// POE makes the listener and every client by the same class, with the same parameters.
#[tokio::test]
async fn st_p15_a_session_type_is_of_the_listener_and_of_each_client() {
    let kernel = Kernel::new();
    let log = Log::default();
    let server = TcpServer::builder("127.0.0.1:0")
        .session_type(Special::around("server", &log))
        .alias("the server")
        .client_input(|cx, _: String| cx.client().shutdown())
        .start(&kernel)
        .await
        .unwrap();
    let made = |log: &Log| log.lines().iter().filter(|line| *line == "server made").count();
    assert_eq!(made(&log), 1, "the listener's");
    assert_eq!(kernel.call::<_, &str>("the server", "identify", ()).unwrap(), "server");
    let talk = async {
        for clients in 1..=2 {
            let mut stream = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
            stream.write_all(b"enough\n").await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(made(&log), 1 + clients);
        }
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    let tally = |wanted: &str| log.lines().iter().filter(|line| *line == wanted).count();
    assert_eq!(
        ["_start", "tcp_got_input", "_stop", "_child"].map(|event| tally(&format!("server {event}"))),
        [3, 2, 3, 0],
        "the listener has no handler of `_child`: {:?}",
        log.lines()
    );
    assert_eq!(tally("server _child unhandled"), 4);
}

#[tokio::test]
async fn st_p15_a_client_of_a_session_type_does_all_that_a_client_does() {
    let kernel = Kernel::new();
    let log = Log::default();
    let client = Rc::new(Cell::new(None::<SessionId>));
    let (kept, told) = (client.clone(), log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .client_heap(|_| 1_u64)
        .option("colour", "green")
        .session_type(Special::around("server", &log))
        .client_connected(move |cx| -> HandlerResult {
            kept.set(Some(cx.session_id()));
            cx.sig("DIE", DIED);
            let me = cx.session_id();
            assert_eq!(cx.call(me, ADD, 10)?, 21, "the type has doubled what is added");
            let child = cx.create(Session::builder(()).on(START, |_, ()| ()).on(ADD, |_, n| Reply(n + 1)))?;
            assert_eq!(cx.call(child, ADD, 1)?, 2);
            assert_eq!(cx.option("colour").as_deref(), Some("green"));
            cx.set_option("colour", "red");
            cx.post(me, "nothing for it", 1_u8)?;
            cx.yield_to(FAIL, ());
            Ok(())
        })
        .client_input(|cx, line| {
            cx.client().put(format!("{line} {}", *cx.heap));
            cx.client().shutdown();
        })
        .state(ADD, |cx, n| {
            *cx.heap += n;
            Reply(*cx.heap)
        })
        .state(FAIL, |_, ()| Err::<(), _>(poe::Failure::msg("on purpose")))
        .state(DIED, move |cx, signal| {
            cx.sig_handled();
            told.say(signal.die().expect("of a handler").event.clone());
        })
        .state(DEFAULT, |_, unhandled| assert!(unhandled.event != "add"))
        .start(&kernel)
        .await
        .unwrap();
    let talk = async {
        let mut stream = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
        while !log.lines().iter().any(|line| line == "fail") {
            tokio::task::yield_now().await;
        }
        let snapshot = kernel.snapshot();
        let session = snapshot.session(client.get().expect("it has started")).unwrap();
        assert_eq!(session.heap_type, "u64");
        assert_eq!(session.options["colour"], "red");
        assert!(session.events.iter().any(|event| event == "identify"));
        stream.write_all(b"all in all\n").await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "all in all 21\r\n");
        server.shutdown();
    };
    run_with(&kernel, within(talk)).await;
    let lines = log.lines();
    for wanted in ["server nothing for it", "server fail failed", "server died"] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted}: {lines:?}");
    }
}

/// CT.p11: one session, also for a second connection.
#[tokio::test]
async fn ct_p11_a_client_has_a_session_type_with_its_parameters() {
    let kernel = Kernel::new();
    let log = Log::default();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(|cx| cx.client().put("hello"))
        .start(&kernel)
        .await
        .unwrap();
    TcpClient::builder(server.local_name())
        .heap(0_u64)
        .alias("the client")
        .session_type(Special::around("client", &log))
        .server_input(move |cx, _| -> HandlerResult {
            let me = cx.session_id();
            if cx.call(me, ADD, 1)? == 2 {
                cx.reconnect();
            } else {
                cx.server().shutdown();
                server.shutdown();
            }
            Ok(())
        })
        .state(ADD, |cx, n| {
            *cx.heap += n;
            Reply(*cx.heap)
        })
        .start(&kernel)
        .unwrap();
    assert_eq!(kernel.call::<_, &str>("the client", "identify", ()).unwrap(), "client");
    run(&kernel).await;
    let lines = log.lines();
    let tally = |wanted: &str| lines.iter().filter(|line| *line == wanted).count();
    assert_eq!(
        ["made", "_start", "add", "tcp_client_connected", "reconnect", "_stop"]
            .map(|event| tally(&format!("client {event}"))),
        [1, 1, 2, 2, 1, 1],
        "{lines:?}"
    );
}
