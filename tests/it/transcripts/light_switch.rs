//! A light switch with its operator, a machine that stops itself, a server that computes in a state which it calls; after
//! POE's `ses_nfa`.

use super::kernel;
use poe::event::{CHILD, DEFAULT, SILENT, START, STOP};
use poe::{HandlerResult, Kernel, Nfa, Session, SessionId};

async fn light(kernel: &Kernel) {
    out!("== a light is on after each odd push");
    let switch = Nfa::builder(())
        .state("initial", |s| {
            s.on("start", |cx, ()| -> HandlerResult {
                cx.alias_set("switch")?;
                cx.goto_state("off", SILENT, ())?;
                out!("start");
                Ok(())
            })
            .on(DEFAULT, |_, _| ())
        })
        .state("off", |s| {
            s.on("enter", |cx, pusher: SessionId| -> HandlerResult {
                out!("off: enter from {}", cx.state_of_event().unwrap());
                Ok(cx.post(pusher, "visibility", "dark")?)
            })
            .on("pushed", |cx, ()| {
                out!("off: pushed");
                cx.goto_state("on", "enter", cx.sender())
            })
            .on("leave", |_, ()| out!("off: leave"))
            .on(DEFAULT, |_, _| ())
        })
        .state("on", |s| {
            s.on("enter", |cx, pusher: SessionId| -> HandlerResult {
                out!("on: enter from {}", cx.state_of_event().unwrap());
                Ok(cx.post(pusher, "visibility", "bright")?)
            })
            .on("pushed", |cx, ()| {
                out!("on: pushed");
                cx.goto_state("off", "enter", cx.sender())
            })
            .on("leave", |_, ()| out!("on: leave"))
            .on(DEFAULT, |_, _| ())
        })
        .start(kernel)
        .unwrap();
    switch.goto_state(kernel, "initial", "start", ()).unwrap();
    Session::builder(0)
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("operator")?;
            cx.yield_to("push", ());
            Ok(())
        })
        .on("push", |cx, ()| {
            *cx.heap += 1;
            out!("push {}", *cx.heap);
            cx.post("switch", "pushed", ())
        })
        .on("visibility", |cx, light: &'static str| {
            out!("it is {light}");
            if *cx.heap < 3 {
                cx.yield_to("push", ());
            }
        })
        .on(STOP, |_, ()| out!("operator _stop"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

async fn brief(kernel: &Kernel) {
    out!("== one that stops itself in its first state");
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            let machine = cx.start(Nfa::builder(()).state("initial", |s| {
                s.on("start", |cx, ()| -> HandlerResult {
                    cx.alias_set("brief")?;
                    cx.stop();
                    cx.yield_to("late", ());
                    out!("start");
                    Ok(())
                })
                .on("late", |_, ()| out!("late!"))
                .on(DEFAULT, |_, _| ())
            }))?;
            machine.goto_state(cx, "initial", "start", ())?;
            Ok(())
        })
        .on(CHILD, |_, child| out!("_child {}", child.reason))
        .on(STOP, |_, ()| out!("parent _stop"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

#[derive(Default)]
struct Fibonacci {
    client: Option<SessionId>,
    pair: (u64, u64),
    n: u64,
}

async fn server(kernel: &Kernel) {
    out!("== a server that computes in a state which it calls");
    let server = Nfa::builder(Fibonacci::default())
        .state("initial", |s| {
            s.on("start", |cx, ()| -> HandlerResult {
                cx.alias_set("server")?;
                cx.goto_state("listen", SILENT, ())
            })
            .on(DEFAULT, |_, _| ())
        })
        .state("listen", |s| {
            s.on("request", |cx, n: u64| -> HandlerResult {
                cx.runstate.client = Some(cx.sender());
                cx.call_state::<_, u64>("answer", "calculate", "start", n)?;
                out!("listen: request {n}");
                Ok(())
            })
            .on("answer", |cx, f: u64| -> HandlerResult {
                out!("listen: answer {f}");
                Ok(cx.post(cx.runstate.client.unwrap(), "fib", f)?)
            })
            .on(DEFAULT, |_, _| ())
        })
        .state("calculate", |s| {
            s.on("start", |cx, n: u64| -> HandlerResult {
                out!("calculate: start {n}");
                if n < 2 {
                    return cx.return_state(n);
                }
                cx.runstate.pair = (0, 1);
                cx.runstate.n = n;
                cx.yield_to("next", ());
                Ok(())
            })
            .on("next", |cx, ()| -> HandlerResult {
                let (a, b) = cx.runstate.pair;
                cx.runstate.pair = (b, a + b);
                out!("calculate: next {}", a + b);
                cx.runstate.n -= 1;
                if cx.runstate.n == 1 {
                    return cx.return_state(a + b);
                }
                cx.yield_to("next", ());
                Ok(())
            })
            .on(DEFAULT, |_, _| ())
        })
        .start(kernel)
        .unwrap();
    server.goto_state(kernel, "initial", "start", ()).unwrap();
    Session::builder(vec![5_u64, 2, 1, 0])
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("client")?;
            cx.yield_to("ask", ());
            Ok(())
        })
        .on("ask", |cx, ()| {
            out!("ask");
            let wanted = cx.heap.pop().unwrap();
            cx.post("server", "request", wanted)
        })
        .on("fib", |cx, f: u64| {
            out!("got {f}");
            if !cx.heap.is_empty() {
                cx.yield_to("ask", ());
            }
        })
        .on(STOP, |_, ()| out!("client _stop"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

pub(crate) async fn play() {
    let kernel = kernel();
    light(&kernel).await;
    brief(&kernel).await;
    server(&kernel).await;
}
