//! `POE::Test::Loops::k_detach`

use crate::laws_kit::*;
use poe::Session;
use poe::event::{CHILD, PARENT, START, STOP};
use poe::{Context, Event, HandlerResult, Reply, SessionBuilder, SessionId};

const GET_ALIAS: Event<(), String> = Event::new("get_alias");
const DETACH_CHILD: Event<&'static str> = Event::new("detach_child");

type Cx<'k> = Context<'k, String>;

fn alias_of(cx: &mut Cx<'_>, id: SessionId) -> String {
    if id.is_kernel() {
        return "kernel".to_owned();
    }
    cx.call(id, GET_ALIAS, ()).unwrap()
}

/// A session with two aliases. It names its children and parents by asking them for their names.
fn session(id: &str, alias: &str) -> SessionBuilder<String> {
    let alias = alias.to_owned();
    Session::builder(id.to_owned())
        .on(START, move |cx, ()| cx.alias_set(&alias))
        .on(GET_ALIAS, |cx, ()| Reply(cx.heap.clone()))
        .on(PARENT, |cx, parent| {
            let (old, new) = (alias_of(cx, parent.old), alias_of(cx, parent.new));
            say(format!("p {} {old} {new}", *cx.heap));
        })
        .on(CHILD, |cx, child| {
            let name = alias_of(cx, child.session);
            say(format!("c {} {} {name}", *cx.heap, child.reason));
        })
        .on("detach_self", |cx, ()| cx.detach_myself())
        .on(DETACH_CHILD, |cx, child| -> HandlerResult {
            let child = cx.alias_resolve(child)?;
            cx.detach_child(child)?;
            Ok(())
        })
        .on(STOP, |_, ()| ())
}

#[tokio::test(start_paused = true)]
async fn the_old_parent_first_then_the_detached_then_destruction_in_order() {
    let kernel = kernel();
    session("main", "main")
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("main")?;
            cx.yield_to("spawn_children", ());
            Ok(())
        })
        .on("spawn_children", |cx, ()| -> HandlerResult {
            for n in ["1", "2", "3"] {
                let alias = format!("a{n}");
                cx.create(
                    session(n, &alias)
                        .on(START, move |cx, ()| -> HandlerResult {
                            cx.alias_set(&alias)?;
                            cx.yield_to("spawn_grandchildren", ());
                            Ok(())
                        })
                        .on("spawn_grandchildren", |cx, ()| -> HandlerResult {
                            for n in ["1", "2", "3"] {
                                let name = format!("a{}_{n}", *cx.heap);
                                cx.create(session(&name, &name))?;
                            }
                            Ok(())
                        }),
                )?;
            }
            cx.delay("run_tests", ms(500), ());
            Ok(())
        })
        .on("run_tests", |cx, ()| -> HandlerResult {
            said();
            for n in ["1", "2", "3"] {
                cx.call::<(), ()>(format!("a{n}_1"), "detach_self", ())?;
                assert_eq!(said(), [format!("c {n} lose a{n}_1"), format!("p a{n}_1 {n} kernel")]);
            }
            for (n, child) in [("1", "a1_2"), ("2", "a2_2"), ("3", "a3_2")] {
                cx.call(format!("a{n}"), DETACH_CHILD, child)?;
                assert_eq!(said(), [format!("c {n} lose {child}"), format!("p {child} {n} kernel")]);
            }
            cx.call::<(), ()>("a1", "detach_self", ())?;
            assert_eq!(said(), ["c main lose 1", "p 1 main kernel"]);
            cx.call("main", DETACH_CHILD, "a2")?;
            assert_eq!(said(), ["c main lose 2", "p 2 main kernel"]);
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let mut end = said();
    end.sort();
    assert_eq!(
        end,
        ["c 1 lose a1_3", "c 2 lose a2_3", "c 3 lose a3_3", "c main lose 3"]
    );
}
