//! Machines that count by yield, post and call in turn; a client and a server with postbacks and callbacks. After the
//! beginning of POE's `ses_session`.

use super::kernel;
use poe::event::{DEFAULT, START, STOP};
use poe::{Callback, Event, HandlerResult, Kernel, Postback, Reply, Session};

const COUNT: Event<u32> = Event::new("count");
const NEXT: Event<u32, u32> = Event::new("next_count");

async fn machines(kernel: &Kernel) {
    out!("== three machines count");
    for id in 1..=3_u32 {
        Session::builder(0_u32)
            .on(START, |cx, id: u32| cx.yield_to(COUNT, id))
            .on(COUNT, |cx, id| -> HandlerResult {
                let me = cx.session_id();
                let whose = if cx.sender() == me { "own" } else { "foreign" };
                out!("{id}: count {}, {whose} from {}", *cx.heap, cx.caller_state().unwrap());
                let odd = *cx.heap & 1 == 1;
                if odd {
                    cx.yield_to("bogus", id);
                } else {
                    cx.post(me, "bogus", id)?;
                }
                if cx.call(me, NEXT, id)? < 3 {
                    if odd {
                        cx.yield_to(COUNT, id);
                    } else {
                        cx.post(me, COUNT, id)?;
                    }
                }
                Ok(())
            })
            .on(NEXT, |cx, id| {
                out!("{id}: next, from {}", cx.caller_state().unwrap());
                *cx.heap += 1;
                Reply(*cx.heap)
            })
            .on(DEFAULT, move |cx, mut unhandled| {
                let arg = unhandled.arg.take::<u32>().unwrap();
                out!("{id}: {} for {}({arg})", cx.event(), unhandled.event);
            })
            .on(STOP, move |_, ()| out!("{id}: _stop"))
            .args(id)
            .create(kernel)
            .unwrap();
    }
    kernel.run().await.unwrap();
}

/// What the server is asked with: the one or the other.
enum Answer {
    Later(Postback<u32, u32>),
    AtOnce(Callback<u32, u32, ()>),
}

const QUERY: Event<Answer> = Event::new("query");

async fn client_and_server(kernel: &Kernel) {
    out!("== postbacks come later, callbacks at once");
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(QUERY, |cx, answer| -> HandlerResult {
            out!("query from {}", cx.caller_state().unwrap());
            *cx.heap += 1;
            let response = *cx.heap;
            match answer {
                Answer::Later(postback) => postback.post(response)?,
                Answer::AtOnce(callback) => callback.call(cx, response)?,
            }
            out!("query ends");
            Ok(())
        })
        .on(STOP, |_, ()| out!("server _stop"))
        .create(kernel)
        .unwrap();
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.yield_to("ask", ()))
        .on("ask", |cx, ()| -> HandlerResult {
            out!("ask");
            *cx.heap += 1;
            let postback = cx.postback("response", *cx.heap);
            cx.post("server", QUERY, Answer::Later(postback))?;
            *cx.heap += 1;
            let callback = cx.callback("sync_response", *cx.heap);
            cx.call("server", QUERY, Answer::AtOnce(callback))?;
            out!("ask ends");
            Ok(())
        })
        .on("sync_response", |cx, (asked, answered): (u32, u32)| {
            out!("sync {asked} {answered}, from {}", cx.caller_state().unwrap());
        })
        .on("response", |cx, (asked, answered): (u32, u32)| {
            out!("response {asked} {answered}, from {}", cx.caller_state().unwrap());
            if *cx.heap < 5 {
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
    machines(&kernel).await;
    client_and_server(&kernel).await;
}
