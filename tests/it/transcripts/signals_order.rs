//! Signals: who hears them, in which order, and who goes.

use super::{Cx, id_of, kernel, named, nm, or_undef, soon};
use poe::event::{CHILD, ChildReason, PARENT, START, STOP};
use poe::{Kernel, Reply, Session, SessionBuilder, Signal};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

thread_local! {
    static TELL_END: Cell<bool> = const { Cell::new(true) };
}

type Starts = Rc<dyn Fn(&mut Cx<'_>)>;
type Hears = Rc<dyn Fn(&mut Cx<'_>, Signal)>;

/// A session that lives for 20 ms.
#[derive(Clone, Default)]
struct Options {
    watch: Vec<&'static str>,
    /// It handles what it watches.
    handle: bool,
    heard: Option<Hears>,
    start: Option<Starts>,
    kids: Option<Starts>,
}

impl Options {
    fn watch(signals: &[&'static str]) -> Self {
        Options {
            watch: signals.to_vec(),
            ..Self::default()
        }
    }

    fn handle(mut self, handle: bool) -> Self {
        self.handle = handle;
        self
    }

    fn heard(mut self, f: impl Fn(&mut Cx<'_>, Signal) + 'static) -> Self {
        self.heard = Some(Rc::new(f));
        self
    }

    fn start(mut self, f: impl Fn(&mut Cx<'_>) + 'static) -> Self {
        self.start = Some(Rc::new(f));
        self
    }
}

/// `name hears (SIGNAL its arguments the watcher's)`.
fn words(signal: &Signal) -> String {
    let mut words = vec![signal.name().as_str()];
    words.extend(signal.arg::<&str>());
    words.extend(signal.extra::<&str>());
    words.join(" ")
}

fn session(name: impl Into<Rc<str>>, options: Options) -> SessionBuilder<()> {
    let name: Rc<str> = name.into();
    let Options {
        watch,
        handle,
        heard,
        start,
        kids,
    } = options;
    let (n1, n2, n3, n4, n5) = (name.clone(), name.clone(), name.clone(), name.clone(), name);
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), &n1);
            cx.alias_set(&n1).unwrap();
            cx.delay("bye", soon(20), ());
            for signal in &watch {
                cx.sig_with(signal, "heard", "own");
            }
            for f in kids.iter().chain(&start) {
                f(cx);
            }
            Reply(format!("{n1} started"))
        })
        .on("heard", move |cx, signal: Signal| {
            out!("{n2} hears ({})", words(&signal));
            if handle {
                cx.sig_handled();
            }
            if let Some(heard) = &heard {
                heard(cx, signal);
            }
        })
        .on("bye", move |cx, ()| cx.alias_remove(&n3))
        .on(CHILD, {
            let name = n4.clone();
            move |_, child| {
                if TELL_END.get() && child.reason != ChildReason::Create {
                    out!("{name} _child {} {}", child.reason, nm(child.session));
                }
            }
        })
        .on(PARENT, move |_, parent| {
            out!("{n4} _parent {} to {}", nm(parent.old), nm(parent.new))
        })
        .on(STOP, move |cx, ()| {
            if TELL_END.get() {
                out!("{n5} _stop, sender {}", nm(cx.sender()));
            }
        })
}

type Change = fn(SessionBuilder<()>) -> SessionBuilder<()>;

/// A(B(C)), and D(E) if asked for.
#[derive(Clone, Default)]
struct Forest {
    a: Options,
    b: Options,
    c: Options,
    de: Option<(Options, Options)>,
    /// Further handlers of A and B.
    change_a: Option<Change>,
    change_b: Option<Change>,
}

fn changed(builder: SessionBuilder<()>, change: Option<Change>) -> SessionBuilder<()> {
    match change {
        Some(change) => change(builder),
        None => builder,
    }
}

impl Forest {
    fn create(self, kernel: &Kernel) {
        let Forest {
            mut a,
            b,
            c,
            de,
            change_a,
            change_b,
        } = self;
        a.kids = Some(Rc::new(move |cx| {
            let (mut b, c) = (b.clone(), c.clone());
            b.kids = Some(Rc::new(move |cx| {
                cx.create(session("C", c.clone())).unwrap();
            }));
            cx.create(changed(session("B", b), change_b)).unwrap();
        }));
        changed(session("A", a), change_a).create(kernel).unwrap();
        if let Some((mut d, e)) = de {
            d.kids = Some(Rc::new(move |cx| {
                cx.create(session("E", e.clone())).unwrap();
            }));
            session("D", d).create(kernel).unwrap();
        }
    }
}

/// A's timer is reported.
fn a_tells_bye(builder: SessionBuilder<()>) -> SessionBuilder<()> {
    builder.on("bye", |cx, ()| {
        out!("A's timer");
        cx.alias_remove("A")
    })
}

async fn run(kernel: &Kernel) {
    // A DIE that nobody handles ends the run with an error, which is not this scenario's matter.
    let _ = kernel.run().await;
}

pub(crate) async fn play() {
    let kernel = kernel();
    let say = || Options::watch(&["HELLO", "TERM"]);
    let send = |to: &str, signal: &str, arg: &'static str| kernel.signal(to, signal, arg).unwrap();
    let plain = |to: &str, signal: &str| kernel.signal(to, signal, ()).unwrap();
    let all = || Forest {
        a: say(),
        b: say(),
        c: say(),
        ..Forest::default()
    };

    TELL_END.set(false);
    out!("== to the root of A(B(C)): the deepest first");
    all().create(&kernel);
    send("A", "HELLO", "1 two");
    run(&kernel).await;

    out!("== to the middle: neither the parent nor others hear it");
    Forest {
        de: Some((say(), say())),
        ..all()
    }
    .create(&kernel);
    plain("B", "HELLO");
    run(&kernel).await;

    out!("== to the kernel: everybody, generation by generation");
    Forest {
        a: say(),
        c: say(),
        de: Some((Options::default(), say())),
        ..Forest::default()
    }
    .create(&kernel);
    kernel.signal(kernel.id(), "HELLO", ()).unwrap();
    run(&kernel).await;

    out!("== who sent it, during which event");
    let options = Options::watch(&["HELLO"])
        .start(|cx| cx.yield_to("go", ()))
        .heard(|cx, _| {
            out!(
                "sender {}, event {}, caller state {}, active {} {}",
                nm(cx.sender()),
                cx.event(),
                or_undef(cx.caller_state()),
                nm(cx.active_session()),
                or_undef(cx.active_event())
            );
        });
    session("S", options)
        .on("go", |cx, ()| cx.signal("S", "HELLO", ()).unwrap())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== first come first served with posts");
    let options = Options::watch(&["HELLO"]).start(|cx| {
        cx.yield_to("event", 1_u32);
        cx.signal(cx.session_id(), "HELLO", "2").unwrap();
        cx.yield_to("event", 3_u32);
        cx.signal(cx.session_id(), "HELLO", "4").unwrap();
    });
    session("S", options)
        .on("event", |_, n: u32| out!("event {n}"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== results; a target that goes before the signal comes");
    session("victim", Options::watch(&["HELLO"])).create(&kernel).unwrap();
    let options = Options::default().start(|cx| {
        out!("to a session: {}", super::posted(cx.signal("victim", "TERM", ())));
        out!("to a session: {}", super::posted(cx.signal("victim", "HELLO", ())));
        let refused = cx.signal("nobody", "HELLO", ()).unwrap_err();
        out!(
            "to nobody: undef, error {}",
            if refused.is_no_such_session() {
                "ESRCH"
            } else {
                "another"
            }
        );
    });
    session("S", options).create(&kernel).unwrap();
    run(&kernel).await;

    TELL_END.set(true);
    out!("== terminal, nobody handles it: all stop in that order");
    all().create(&kernel);
    plain("A", "TERM");
    run(&kernel).await;

    out!("== terminal, nobody watches it");
    Forest::default().create(&kernel);
    plain("A", "TERM");
    run(&kernel).await;

    out!("== terminal, to the middle: the others live on");
    Forest {
        change_a: Some(a_tells_bye),
        ..Forest::default()
    }
    .create(&kernel);
    plain("B", "TERM");
    run(&kernel).await;

    out!("== terminal, to the kernel: it goes as well, and a new run is possible");
    Forest {
        a: say(),
        c: say(),
        ..Forest::default()
    }
    .create(&kernel);
    kernel.signal(kernel.id(), "TERM", ()).unwrap();
    run(&kernel).await;
    out!("run returned");

    TELL_END.set(false);
    for who in ["C", "B", "A"] {
        out!("== terminal, handled by {who} alone: all live on");
        let one = |name| say().handle(name == who);
        Forest {
            a: one("A"),
            b: one("B"),
            c: one("C"),
            change_a: Some(a_tells_bye),
            ..Forest::default()
        }
        .create(&kernel);
        plain("A", "TERM");
        run(&kernel).await;
    }

    classes(&kernel).await;
    TELL_END.set(true);

    out!("== handled by way of a call");
    let options = Options::watch(&["TERM"]).heard(|cx, _| {
        let me = cx.session_id();
        cx.call::<(), ()>(me, "handle", ()).unwrap();
    });
    session("S", options)
        .on("handle", |cx, ()| cx.sig_handled())
        .on("bye", |cx, ()| {
            out!("S's timer");
            cx.alias_remove("S")
        })
        .create(&kernel)
        .unwrap();
    plain("S", "TERM");
    run(&kernel).await;

    out!("== handled by way of an event: too late; a handler's value means nothing");
    session("S", Options::watch(&["TERM"]).heard(|cx, _| cx.yield_to("handle", ())))
        .on("handle", |cx, ()| {
            out!("handle!");
            cx.sig_handled();
        })
        .create(&kernel)
        .unwrap();
    plain("S", "TERM");
    run(&kernel).await;

    out!("== the watchers are those of the beginning");
    TELL_END.set(false);
    let c = say().heard(|cx, _| {
        cx.call::<(), ()>("B", "unwatch", ()).unwrap();
        cx.call::<(), ()>("A", "begin", ()).unwrap();
    });
    Forest {
        b: say(),
        c,
        change_a: Some(|a| a.on("begin", |cx, ()| cx.sig_with("HELLO", "heard", "later"))),
        change_b: Some(|b| b.on("unwatch", |cx, ()| cx.sig_ignore("HELLO"))),
        ..Forest::default()
    }
    .create(&kernel);
    send("A", "HELLO", "first");
    send("A", "HELLO", "second");
    run(&kernel).await;
    TELL_END.set(true);

    out!("== a session made meanwhile is not among those who stop");
    let c = say().heard(|cx, _| {
        cx.create(session("N", Options::default()).on("bye", |cx, ()| {
            out!("N's timer");
            cx.alias_remove("N")
        }))
        .unwrap();
    });
    Forest { c, ..Forest::default() }.create(&kernel);
    plain("A", "TERM");
    run(&kernel).await;

    out!("== one watch per session and signal: the last one; and none");
    let options = Options::default().start(|cx| {
        cx.sig("HELLO", "one");
        cx.sig_with("HELLO", "two", "extra");
        cx.signal("S", "HELLO", "a").unwrap();
        cx.yield_to("stop_watching", ());
    });
    session("S", options)
        .on("one", |_, _: Signal| out!("one!"))
        .on("two", |_, signal: Signal| out!("two ({})", words(&signal)))
        .on("stop_watching", |cx, ()| {
            cx.sig_ignore("HELLO");
            cx.signal("S", "HELLO", "b").unwrap();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== a watch does not hold its session");
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("HELLO", "heard");
            cx.sig("TERM", "heard");
        })
        .on("heard", |_, _: Signal| out!("heard!"))
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert!(!kernel.is_alive(id_of("S")));
}

async fn classes(kernel: &Kernel) {
    out!("== classes of signals");
    const SIGNALS: [&str; 15] = [
        "HUP",
        "INT",
        "QUIT",
        "TERM",
        "KILL",
        "IDLE",
        "DIE",
        "ZOMBIE",
        "UIDESTROY",
        "ALRM",
        "CHLD",
        "PIPE",
        "USR1",
        "WINCH",
        "MINE",
    ];
    let lives: Rc<RefCell<HashSet<String>>> = Rc::default();
    for signal in SIGNALS {
        for handle in [false, true] {
            let name = format!("{signal} {}", i32::from(handle));
            let (lives, alias) = (lives.clone(), name.clone());
            session(
                name.as_str(),
                Options::default().start(move |cx| cx.sig(signal, "quiet")),
            )
            .on("quiet", move |cx, _: Signal| {
                if handle {
                    cx.sig_handled();
                }
            })
            .on("bye", move |cx, ()| {
                lives.borrow_mut().insert(alias.clone());
                cx.alias_remove(&alias)
            })
            .create(kernel)
            .unwrap();
            kernel.signal(&name, signal, ()).unwrap();
        }
    }
    run(kernel).await;
    let fate = |name: String| {
        if lives.borrow().contains(&name) {
            "lives"
        } else {
            "stops"
        }
    };
    for signal in SIGNALS {
        out!(
            "{signal}: unhandled {}, handled {}",
            fate(format!("{signal} 0")),
            fate(format!("{signal} 1"))
        );
    }
}
