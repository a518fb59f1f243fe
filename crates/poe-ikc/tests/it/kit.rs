//! Two kernels in one runtime, and what they write down.

use poe::event::START;
use poe::{Event, Kernel, Reply, Session, SessionId};
use poe_ikc::{Args, Ikc, IkcBuilder};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const ADD: Event<(i64, i64), i64> = Event::new("add");
pub(crate) const NOTE: Event<String> = Event::new("note");
pub(crate) const FAIL: Event<(), u32> = Event::new("fail");
pub(crate) const PANIC: Event<(), u32> = Event::new("panic");
pub(crate) const LIST: Event<Args, Vec<i64>> = Event::new("list");
pub(crate) const GREET: Event<String> = Event::new("greet");
pub(crate) const GO: Event<()> = Event::new("go");

/// Longer than anything takes, under virtual time or not.
pub(crate) const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

pub(crate) struct Side {
    pub(crate) kernel: Kernel,
    pub(crate) ikc: Ikc,
    pub(crate) log: Log,
}

/// A kernel on virtual time whose session `test` publishes what the tests use.
pub(crate) fn side(builder: IkcBuilder) -> Side {
    let kernel = poe::testing::kernel();
    let builder = builder.publish("test", |p| {
        p.event(ADD)
            .event(NOTE)
            .event(FAIL)
            .event(PANIC)
            .event(LIST)
            .event(GREET)
    });
    let ikc = builder.start(&kernel).unwrap();
    let log = Log::default();
    test_session(&kernel, &log);
    Side { kernel, ikc, log }
}

fn test_session(kernel: &Kernel, log: &Log) -> SessionId {
    Session::builder(log.clone())
        .on(START, |cx, ()| cx.alias_set("test"))
        .on(ADD, |_, (a, b)| Reply(a + b))
        .on(NOTE, |cx, text| cx.heap.add(format!("note {text}")))
        .on(FAIL, |_, ()| -> poe::HandlerResult<Reply<u32>> {
            Err("no such luck".into())
        })
        .on(PANIC, |_, ()| -> Reply<u32> { panic!("out of cheese") })
        .on(LIST, |_, args: Args| {
            Reply(args.0.iter().filter_map(|arg| arg.as_i64()).collect::<Vec<_>>())
        })
        .on(GREET, |cx, name| {
            cx.post(cx.sender(), "greeting", format!("hello {name}"))
                .map_err(|error| error.to_string())
        })
        .create(kernel)
        .unwrap()
}

/// Connects two sides in memory. `server` is connected to.
pub(crate) fn join(client: &Side, server: &Side) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    client.ikc.attach(a, true).unwrap();
    server.ikc.attach(b, false).unwrap();
}

/// Runs the first kernel to its end, and the other meanwhile.
pub(crate) async fn run(first: &Side, other: &Side) {
    let both = async {
        tokio::select! {
            biased;
            ran = first.kernel.run() => ran.unwrap(),
            ran = other.kernel.run() => {
                ran.unwrap();
                // It has nothing to do any more.
                first.kernel.run().await.unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), both)
        .await
        .expect("it ends");
}

/// Posts `go` to the session `main` of the first kernel when the other one is connected, and runs both.
pub(crate) async fn go(first: &Side, other: &Side) {
    let name = other.ikc.name().to_owned();
    let go = async {
        first.ikc.registered(&name).await.unwrap();
        first.kernel.post("main", GO, ()).unwrap();
    };
    tokio::join!(run(first, other), go);
}

/// Keeps a side's kernel running until `leave` is posted to the session `stay`.
pub(crate) fn stay(side: &Side) {
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.refcount_increment(cx.session_id(), "stay")?;
            Ok(cx.alias_set("stay")?)
        })
        .on("leave", |cx, ()| {
            cx.refcount_decrement(cx.session_id(), "stay").map(drop)
        })
        .create(&side.kernel)
        .unwrap();
}
