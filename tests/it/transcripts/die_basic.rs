//! Exceptions: the record, who hears DIE, and what an unhandled one does.

use super::{Cx, id_of, kernel, named, nm, or_undef, soon, told};
use poe::event::{CHILD, ChildReason, PARENT, START, STOP};
use poe::{Failure, HandlerResult, Kernel, Reply, Session, SessionBuilder, Signal, inspect::Die};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

type Starts = Rc<dyn Fn(&mut Cx<'_>)>;

/// A session that waits 20 ms.
#[derive(Clone, Default)]
struct Options {
    watch: bool,
    handle: bool,
    /// It reports its end.
    quiet: bool,
    /// Milliseconds, 20 unless given.
    life: Option<u64>,
    start: Option<Starts>,
    kids: Option<Starts>,
}

impl Options {
    fn start(mut self, f: impl Fn(&mut Cx<'_>) + 'static) -> Self {
        self.start = Some(Rc::new(f));
        self
    }
}

const fn watch() -> Options {
    Options {
        watch: true,
        handle: false,
        quiet: false,
        life: None,
        start: None,
        kids: None,
    }
}

fn handle() -> Options {
    Options {
        handle: true,
        ..Options::default()
    }
}

fn quiet(options: Options) -> Options {
    Options { quiet: true, ..options }
}

fn fails(text: &str) -> HandlerResult {
    Err(Failure::msg(text))
}

fn session(name: &'static str, options: Options) -> SessionBuilder<()> {
    let Options {
        watch,
        handle,
        quiet,
        life,
        start,
        kids,
    } = options;
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            cx.alias_set(name).unwrap();
            if watch || handle {
                cx.sig_with("DIE", "died", "own");
            }
            cx.delay("bye", soon(life.unwrap_or(20)), ());
            for f in kids.iter().chain(&start) {
                f(cx);
            }
            Reply(format!("{name} started"))
        })
        .on("boom", move |_, ()| fails(&format!("boom in {name}")))
        .on("died", move |cx, signal: Signal| {
            let own = signal.extra::<&str>().unwrap();
            out!(
                "{name} hears {} of {} ({own})",
                signal.name(),
                nm(signal.die().unwrap().session)
            );
            if handle {
                cx.sig_handled();
            }
        })
        .on("bye", move |cx, ()| {
            if !quiet {
                out!("{name} leaves");
            }
            cx.alias_remove(name)
        })
        .on(CHILD, |_, _| ())
        .on(PARENT, move |_, parent| {
            out!("{name} _parent {} to {}", nm(parent.old), nm(parent.new))
        })
        .on(STOP, move |cx, ()| {
            if !quiet {
                out!("{name} _stop, sender {}", nm(cx.sender()));
            }
        })
}

async fn run(kernel: &Kernel) {
    told(kernel.run().await);
}

/// An error that is more than a text.
#[derive(Debug)]
struct Code(i32);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error number {}", self.0)
    }
}

impl std::error::Error for Code {}

fn record(what: &str, die: &Die) {
    let error = match die.failure.source().and_then(|e| e.downcast_ref::<Code>()) {
        Some(code) => format!("code {}", code.0),
        None => die.failure.to_string(),
    };
    let (dest, source, state) = (nm(die.session), nm(die.sender), or_undef(die.caller_state.clone()));
    out!(
        "{what}: event {}, dest {dest}, source {source}, from state {state}, error {error}",
        die.event
    );
}

/// P(C(D)) with E beside C, and Q beside P; C throws.
#[derive(Clone, Default)]
struct Family {
    p: Options,
    c: Options,
    d: Options,
    e: Option<Options>,
    q: Option<Options>,
}

impl Family {
    fn create(self, kernel: &Kernel) {
        let Family { mut p, c, d, e, q } = self;
        p.kids = Some(Rc::new(move |cx| {
            let (mut c, d) = (c.clone(), d.clone());
            c.kids = Some(Rc::new(move |cx| {
                cx.create(session("D", d.clone())).unwrap();
            }));
            cx.create(session("C", c)).unwrap();
            if let Some(e) = e.clone() {
                cx.create(session("E", e)).unwrap();
            }
        }));
        session("P", p).create(kernel).unwrap();
        if let Some(q) = q {
            session("Q", q).create(kernel).unwrap();
        }
        kernel.post("C", "boom", ()).unwrap();
    }
}

pub(crate) async fn play() {
    let kernel = kernel();
    the_record(&kernel);
    run(&kernel).await;

    out!("== what is queued comes first");
    let start = |cx: &mut Cx<'_>| {
        cx.yield_to("boom", ());
        cx.yield_to("event", 1_u32);
    };
    session("S", handle().start(start))
        .on("event", |_, n: u32| out!("event {n}"))
        .on("boom", |cx, ()| {
            cx.yield_to("event", 2_u32);
            fails("boom")
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== handled: all go on");
    session("S", handle().start(|cx| cx.yield_to("boom", ())))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== who hears it: descendants, itself, ancestors; neither siblings nor others");
    let listens = || quiet(watch());
    Family {
        p: quiet(handle()),
        c: listens(),
        d: listens(),
        e: Some(listens()),
        q: Some(listens()),
    }
    .create(&kernel);
    run(&kernel).await;

    for who in ["D", "C", "P"] {
        out!("== handled by {who}: nobody stops");
        let one = |name| Options {
            handle: name == who,
            ..listens()
        };
        Family {
            p: one("P"),
            c: one("C"),
            d: one("D"),
            ..Family::default()
        }
        .create(&kernel);
        run(&kernel).await;
    }

    out!("== not handled: those who heard it stop first, then the others, and run throws");
    Family {
        p: watch(),
        c: watch(),
        d: watch(),
        ..Family::default()
    }
    .create(&kernel);
    session("Q", watch()).create(&kernel).unwrap();
    run(&kernel).await;

    out!("== not watched at all");
    Family::default().create(&kernel);
    session("Q", Options::default().start(|cx| cx.yield_to("before", ())))
        .on("before", |_, ()| out!("Q before"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== a sibling is handed to the kernel before it stops");
    Family {
        e: Some(Options::default()),
        ..Family::default()
    }
    .create(&kernel);
    run(&kernel).await;

    out!("== after that a new run works");
    session("S", Options::default().start(|cx| cx.yield_to("fine", ())))
        .on("fine", |_, ()| out!("fine"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== of two errors the first one counts");
    for name in ["one", "two"] {
        session(name, Options::default().start(|cx| cx.yield_to("boom", ())))
            .create(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    by_hand(&kernel).await;
}

fn the_record(kernel: &Kernel) {
    out!("== the record");
    let line = Rc::new(Cell::new(0));
    let yielded_at = line.clone();
    let other = Options {
        life: Some(30),
        ..Options::default()
    }
    .start(|cx| cx.yield_to("go", ()));
    session("other", other)
        .on("go", |cx, ()| cx.post("S", "posted", ()).unwrap())
        .create(kernel)
        .unwrap();
    let start = move |cx: &mut Cx<'_>| {
        cx.sig("DIE", "record");
        cx.yield_to("yielded", ());
        line.set(line!() - 1);
        cx.yield_to("value", ());
        cx.delay("timer", soon(10), ());
        cx.create(session(
            "child",
            Options {
                life: Some(60),
                ..Options::default()
            },
        ))
        .unwrap();
    };
    session(
        "S",
        Options {
            life: Some(90),
            ..Options::default()
        }
        .start(start),
    )
    .on("yielded", |_, ()| fails("a yield"))
    .on("posted", |_, ()| fails("a post"))
    .on("timer", |_, ()| fails("a timer"))
    .on("value", |_, ()| Err::<(), _>(Code(7)))
    .on(CHILD, |_, child| {
        if child.reason == ChildReason::Lose {
            fails("a child")
        } else {
            Ok(())
        }
    })
    .on("record", move |cx, signal: Signal| {
        let die = signal.die().unwrap();
        record(&format!("{} from {}", signal.name(), nm(cx.sender())), die);
        if die.event == "yielded" {
            let same = die.place.line() == yielded_at.get() && die.place.file() == file!();
            out!("at the line of the yield: {}", if same { "yes" } else { "no" });
        }
        cx.sig_handled();
    })
    .create(kernel)
    .unwrap();
}

async fn by_hand(kernel: &Kernel) {
    out!("== sent by hand, with a record, without, and to whom");
    let s = session("S", Options::default()).create(kernel).unwrap();
    let die = Die {
        failure: Failure::msg("by hand"),
        event: "none".into(),
        session: s,
        sender: kernel.id(),
        caller_state: None,
        place: std::panic::Location::caller(),
    };
    kernel.signal("S", "DIE", die).unwrap();
    run(kernel).await;

    session("S", Options::default()).create(kernel).unwrap();
    kernel.signal("S", "DIE", ()).unwrap();
    run(kernel).await;

    let hears = |name: &'static str| {
        move |cx: &mut Cx<'_>, signal: Signal| {
            out!("{name} hears ({} {})", signal.name(), signal.arg::<&str>().unwrap());
            if name == "P" {
                cx.sig_handled();
            }
        }
    };
    let sig = |cx: &mut Cx<'_>| cx.sig("DIE", "heard");
    let mut p = quiet(Options::default()).start(sig);
    p.kids = Some(Rc::new(move |cx| {
        cx.create(session("C", quiet(Options::default()).start(sig)).on("heard", hears("C")))
            .unwrap();
    }));
    session("P", p).on("heard", hears("P")).create(kernel).unwrap();
    kernel.signal(id_of("C"), "DIE", "anything").unwrap();
    run(kernel).await;
}
