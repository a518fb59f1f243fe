//! Children and grandchildren leave their parents by themselves or by their parents' will, and call each other meanwhile;
//! after POE's `k_detach`.

use super::{kernel, soon};
use poe::event::{CHILD, PARENT, START, STOP};
use poe::{Context, Event, HandlerResult, Reply, Session, SessionBuilder, SessionId};

const GET_ALIAS: Event<(), String> = Event::new("get_alias");
const DETACH_CHILD: Event<String> = Event::new("detach_child");

type Cx<'k> = Context<'k, String>;

fn ask(cx: &mut Cx<'_>, whom: SessionId) -> String {
    if whom.is_kernel() {
        "kernel".to_owned()
    } else {
        cx.call(whom, GET_ALIAS, ()).unwrap()
    }
}

fn session(name: String, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<String> {
    Session::builder(name)
        .on(START, move |cx, ()| -> HandlerResult {
            cx.alias_set(&cx.heap)?;
            start(cx);
            Ok(())
        })
        .on(PARENT, |cx, parent| {
            let (old, new) = (ask(cx, parent.old), ask(cx, parent.new));
            out!("{} _parent {old} to {new}", *cx.heap);
        })
        .on(CHILD, |cx, child| {
            let name = ask(cx, child.session);
            out!("{} _child {} {name}", *cx.heap, child.reason);
        })
        .on(GET_ALIAS, |cx, ()| Reply(cx.heap.clone()))
        .on("detach_self", |cx, ()| cx.detach_myself())
        .on(DETACH_CHILD, |cx, child| -> HandlerResult {
            let child = cx.alias_resolve(&child)?;
            Ok(cx.detach_child(child)?)
        })
        .on("leave", |cx, ()| cx.alias_remove(&cx.heap))
        .on(STOP, |cx, ()| out!("{} _stop", *cx.heap))
}

fn run_tests(cx: &mut Cx<'_>) -> HandlerResult {
    out!("== by themselves");
    for n in 1..=3 {
        cx.call::<(), ()>(format!("c{n}_1"), "detach_self", ())?;
    }
    out!("== by their parents");
    for n in 1..=3 {
        cx.call(format!("c{n}"), DETACH_CHILD, format!("c{n}_2"))?;
    }
    out!("== their parents");
    cx.call::<(), ()>("c1", "detach_self", ())?;
    cx.call("main", DETACH_CHILD, "c2".to_owned())?;
    out!("== one after another they end");
    let order = [
        "c1_1", "c2_2", "c1_3", "c1", "c3_3", "c3", "c2", "c2_3", "c2_1", "c1_2", "c3_1", "c3_2", "main",
    ];
    for (n, name) in (1..).zip(order) {
        cx.delay_set("end", soon(20 * n), name);
    }
    Ok(())
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== born");
    session("main".to_owned(), |cx| {
        for n in 1..=3 {
            cx.create(session(format!("c{n}"), move |cx| {
                for m in 1..=3 {
                    cx.create(session(format!("c{n}_{m}"), |_| ())).unwrap();
                }
            }))
            .unwrap();
        }
        cx.delay("run_tests", soon(20), ());
    })
    .on("run_tests", |cx, ()| run_tests(cx))
    .on("end", |cx, name: &'static str| cx.call::<(), ()>(name, "leave", ()))
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}
