//! Aliases: setting, removing, listing, resolving; what they hold, and what they do not.

use super::{Cx, code, errno, id_of, kernel, named, nm, or_undef, soon};
use poe::event::{START, STOP};
use poe::{Error, Name, Session, SessionBuilder, SessionId, Signal};

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            start(cx);
        })
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

fn join(list: Vec<Name>) -> String {
    list.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn found(what: &str, result: Result<SessionId, Error>) {
    match result {
        Ok(id) => out!("{what}: {}", nm(id)),
        Err(e) => out!("{what}: undef, error {}", errno(&e)),
    }
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== setting, removing");
    session("other", |cx| cx.alias_set("taken").unwrap())
        .on("done", |cx, ()| cx.alias_remove("taken"))
        .create(&kernel)
        .unwrap();
    session("S", |cx| {
        out!("set: {}", code(cx.alias_set("new")));
        out!("set again: {}", code(cx.alias_set("new")));
        out!("set a second: {}", code(cx.alias_set("a second")));
        out!("set another's: {}", code(cx.alias_set("taken")));
        out!("remove another's: {}", code(cx.alias_remove("taken")));
        out!("remove unknown: {}", code(cx.alias_remove("unknown")));
        out!("list: {}", join(cx.alias_list()));
        out!("list by session: {}", join(cx.alias_list_of(cx.session_id()).unwrap()));
        out!("list by ID: {}", join(cx.alias_list_of(id_of("S")).unwrap()));
        out!("list by alias: {}", join(cx.alias_list_of("new").unwrap()));
        out!("list of the other: {}", join(cx.alias_list_of("taken").unwrap()));
        out!(
            "list of unknown: 0, error {}",
            errno(&cx.alias_list_of("unknown").unwrap_err())
        );
        out!("scalar: {}", or_undef(cx.alias_list().first()));
        out!("remove: {}", code(cx.alias_remove("new")));
        out!("remove again: {}", code(cx.alias_remove("new")));
        out!("list: {}", join(cx.alias_list()));
        out!("remove: {}", code(cx.alias_remove("a second")));
        out!("scalar: {}", or_undef(cx.alias_list().first()));
        cx.post("taken", "done", ()).unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== resolving");
    let gone = id_of("other");
    session("S", move |cx| {
        let me = cx.session_id();
        cx.alias_set("here").unwrap();
        found("object", cx.alias_resolve(me));
        found("ID", cx.alias_resolve(me));
        found("alias", cx.alias_resolve("here"));
        found("kernel", cx.alias_resolve(cx.kernel_id()));
        found("kernel's ID", cx.alias_resolve(cx.kernel_id()));
        found("[D1] unknown", cx.alias_resolve("nowhere"));
        out!(
            "ID to session: {}",
            if cx.is_alive(me) { nm(me) } else { "undef".to_owned() }
        );
        out!(
            "session to ID: {}",
            if cx.alias_resolve(me).unwrap() == me {
                "its own"
            } else {
                "another"
            }
        );
        found("unknown ID", cx.alias_resolve(gone));
        cx.alias_remove("here").unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== an alias that looks like a live ID is hidden by it");
    let first = session("first", |cx| cx.delay("done", soon(20), ()))
        .on("done", |_, ()| ())
        .create(&kernel)
        .unwrap();
    session("second", move |cx| {
        let alias = first.to_string();
        out!("set: {}", code(cx.alias_set(&alias)));
        // An ID is a value of its own and no text: what would be hidden in Perl are two names here.
        out!("resolves to {}", nm(cx.alias_resolve(first).unwrap()));
        assert_eq!(cx.alias_resolve(&alias).unwrap(), cx.session_id());
        cx.alias_remove(&alias).unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== posts are resolved when they are made");
    session("one", |cx| {
        cx.alias_set("desk").unwrap();
        cx.yield_to("go", ());
    })
    .on("go", |cx, ()| {
        cx.post("desk", "hello", "before").unwrap();
        cx.alias_remove("desk").unwrap();
        cx.create(
            session("two", |cx| cx.alias_set("desk").unwrap()).on("hello", |cx, what: &'static str| {
                out!("two hears {what}");
                cx.alias_remove("desk")
            }),
        )
        .unwrap();
        cx.post("desk", "hello", "after").unwrap();
    })
    .on("hello", |_, what: &'static str| out!("one hears {what}"))
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== the alias of a dead session is free");
    session("old", |cx| {
        cx.alias_set("post").unwrap();
        cx.sig("TERM", "term");
    })
    .on("term", |_, _: Signal| ())
    .create(&kernel)
    .unwrap();
    session("new", |cx| {
        cx.signal("post", "TERM", ()).unwrap();
        cx.delay("go", soon(20), ());
    })
    .on("go", |cx, ()| {
        out!(
            "resolves to {}",
            cx.alias_resolve("post").map_or_else(|_| "undef".to_owned(), nm)
        );
        out!("set: {}", code(cx.alias_set("post")));
        cx.alias_remove("post")
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    for handles in [false, true] {
        out!(
            "== alone with an alias, IDLE {}handled",
            if handles { "" } else { "not " }
        );
        session("alone", |cx| {
            cx.alias_set("alone").unwrap();
            cx.sig("IDLE", "idle");
            cx.sig("ZOMBIE", "zombie");
        })
        .on("idle", move |cx, signal: Signal| {
            out!("{}", signal.name());
            if handles {
                cx.sig_handled();
            }
        })
        .on("zombie", |cx, signal: Signal| {
            out!("{}", signal.name());
            cx.sig_handled();
        })
        .create(&kernel)
        .unwrap();
        session("brief", |cx| {
            cx.alias_set("brief").unwrap();
            cx.alias_remove("brief").unwrap();
            cx.sig("IDLE", "idle");
        })
        .on("idle", |_, _: Signal| out!("brief: idle!"))
        .create(&kernel)
        .unwrap();
        kernel.run().await.unwrap();
    }

    out!("== a parent with an alias and a child with another, children first");
    session("parent", |cx| {
        cx.alias_set("parent").unwrap();
        cx.create(session("child", |cx| cx.alias_set("child").unwrap()))
            .unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== an alias keeps its session while others work");
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.alias_set("service"))
        .on(STOP, |_, ()| out!("service _stop"))
        .on("count", |cx, ()| {
            *cx.heap += 1;
            out!("count {}", *cx.heap);
        })
        .create(&kernel)
        .unwrap();
    session("worker", |cx| cx.delay("work", soon(20), 3_u32))
        .on("work", |cx, n: u32| {
            cx.post("service", "count", ()).unwrap();
            if n > 1 {
                cx.delay("work", soon(20), n - 1);
            }
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
