//! Requests, and the ways to reply to them.

use super::*;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Method, Response, StatusCode};
use poe::event::START;
use poe::{Event, Session};
use poe_http::{Body, Exchange};
use std::cell::RefCell;
use std::rc::Rc;

const LATER: Event<Exchange> = Event::new("later");
const DONE: Event<()> = Event::new("done");

#[tokio::test(start_paused = true)]
async fn a_reply_may_come_now_or_later_from_another_handler() {
    let server = builder()
        .heap(0_u32)
        .get("/now", |cx, exchange| {
            *cx.heap += 1;
            exchange.text(format!("now {}", *cx.heap));
        })
        .get("/later/{ms}", |cx, exchange| {
            let ms = exchange.param("ms").unwrap().parse().unwrap();
            cx.delay_set(LATER, Duration::from_millis(ms), exchange);
        })
        .state(LATER, |cx, exchange| {
            *cx.heap += 10;
            exchange.text(format!("later {}", *cx.heap));
        });
    serving(server, async |kernel, server| {
        let mut client = connect(kernel);
        send(&mut client, get("/now")).await;
        assert_eq!(response(&mut client).await, (200, "now 1".into()));
        send(&mut client, get("/later/500")).await;
        let (time, reply) = timed(response(&mut client)).await;
        assert_eq!(reply, (200, "later 11".into()));
        assert!(time >= Duration::from_millis(500), "{time:?}");
        // Pipelined requests are replied to in order.
        let last = "GET /now HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        send(&mut client, get("/now") + &get("/later/500") + last).await;
        let whole = String::from_utf8(rest(&mut client).await).unwrap();
        let bodies: Vec<_> = whole
            .split("\r\n\r\n")
            .skip(1)
            .map(|part| part.split("HTTP").next().unwrap())
            .collect();
        assert_eq!(bodies, ["now 12", "later 22", "now 23"]);
        assert_eq!(server.requests(), 5);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_session_gets_the_requests_of_a_route() {
    const JOB: Event<Exchange> = Event::new("job");
    let server = builder().event(Method::POST, "/jobs/{name}", "worker", JOB);
    serving(server, async |kernel, server| {
        let post = "POST /jobs/a%20b HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(ask(kernel, post).await.0, 503, "there is no worker");
        let id = server.session_id();
        Session::builder(())
            .on(START, |cx, ()| cx.alias_set("worker"))
            .on(JOB, move |cx, exchange| {
                assert_eq!(cx.sender(), id);
                let text = format!("{:?} {:?}", exchange.param("name"), exchange.body());
                exchange.text(text);
            })
            .create(kernel)
            .unwrap();
        assert_eq!(ask(kernel, post).await, (200, "Some(\"a b\") b\"abc\"".into()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_handler_costs_its_request_and_nothing_else() {
    let server = builder()
        .get("/error", |_, _| -> poe::HandlerResult { Err("no")? })
        .get("/panic", |_, _| panic!("a panic"))
        .get("/dropped", |_, exchange| drop(exchange))
        .get("/", |_, exchange| exchange.text("fine"));
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        for path in ["/error", "/panic", "/dropped"] {
            send(&mut client, get(path)).await;
            assert_eq!(response(&mut client).await.0, 500, "{path}");
            send(&mut client, get("/")).await;
            assert_eq!(response(&mut client).await, (200, "fine".into()));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_reply_gets_503_when_its_time_is_over() {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let keeps = kept.clone();
    let server = builder().get("/", move |_, exchange| keeps.borrow_mut().push(exchange.responder));
    serving(server, async |kernel, _| {
        let mut one = connect(kernel);
        send(&mut one, get("/")).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        let mut two = connect(kernel);
        send(&mut two, get("/")).await;
        let (time, (status, _)) = timed(response(&mut one)).await;
        assert_eq!((time.as_secs(), status), (40, 503));
        let (time, (status, _)) = timed(response(&mut two)).await;
        assert_eq!((time.as_secs(), status), (20, 503));
        let late = kept.take().remove(0);
        assert!(late.is_closed());
        assert!(late.send(Response::new("too late")).is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_responder_tells_that_its_client_has_gone() {
    let server = builder()
        .heap(None)
        .get("/", |cx, exchange| {
            cx.spawn(exchange.responder.closed(), DONE);
            *cx.heap = Some(exchange);
        })
        .state(DONE, |cx, ()| assert!(cx.heap.take().unwrap().responder.is_closed()))
        .get("/gone", |cx, exchange| {
            let text = format!("{}", cx.heap.is_none());
            exchange.text(text);
        });
    serving(server, async |kernel, _| {
        let mut client = h2::Client::connect(kernel).await;
        client.get(1, "/").await;
        assert_eq!(ask(kernel, &get("/gone")).await.1, "false");
        client.reset(1).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(ask(kernel, &get("/gone")).await.1, "true");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn paths_and_methods_without_a_route_are_told() {
    let server = builder()
        .get("/a", |_, exchange| exchange.text("a"))
        .post("/a", |_, exchange| exchange.status(StatusCode::CREATED))
        .get("/all/{*rest}", |_, exchange| {
            let rest = exchange.param("rest").unwrap().to_owned();
            exchange.text(rest);
        });
    serving(server, async |kernel, _| {
        assert_eq!(ask(kernel, &get("/b")).await.0, 404);
        assert_eq!(ask(kernel, &get("/all/x/y")).await, (200, "x/y".into()));
        let mut client = connect(kernel);
        send(&mut client, "DELETE /a HTTP/1.1\r\nhost: test\r\n\r\n").await;
        let (head, _) = head(&mut client).await;
        assert_eq!((status(&head), header(&head, "allow")), (405, Some("GET, POST, HEAD")));
        let mut client = connect(kernel);
        send(
            &mut client,
            "HEAD /a HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
        )
        .await;
        let whole = String::from_utf8(rest(&mut client).await).unwrap();
        assert_eq!((status(&whole), header(&whole, "content-length")), (200, Some("1")));
        assert!(whole.ends_with("\r\n\r\n"), "HEAD has no body: {whole}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_sending_side_gets_its_reply() {
    let server = builder()
        .get("/", |cx, exchange| {
            cx.delay_set(LATER, Duration::from_secs(1), exchange);
        })
        .state(LATER, |_, exchange| exchange.text("still here"));
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        send(&mut client, get("/")).await;
        client.shutdown().await.unwrap();
        let whole = String::from_utf8(rest(&mut client).await).unwrap();
        assert!(whole.ends_with("still here"), "{whole}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_streaming_route_reads_its_body_as_it_comes() {
    let server = builder().streaming(Method::POST, "/", |cx, exchange| {
        let (request, responder) = exchange.into_parts();
        let body = request.into_body().max_bytes(u64::MAX);
        let count = body.try_fold(0, |count, chunk: Bytes| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(count + chunk.len())
        });
        cx.spawn_then(count, |_, count| responder.text(count.unwrap().to_string()));
    });
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        send(
            &mut client,
            "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5000000\r\n\r\n",
        )
        .await;
        let chunk = [b'x'; 50_000];
        for _ in 0..100 {
            send(&mut client, chunk).await;
        }
        assert_eq!(response(&mut client).await, (200, "5000000".into()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn chunks_of_a_body_are_events() {
    const CHUNK: Event<Option<Result<Bytes, poe_http::BodyError>>> = Event::new("chunk");
    let server = builder()
        .heap((Vec::new(), None))
        .streaming(Method::POST, "/", |cx, exchange| {
            let (request, responder) = exchange.into_parts();
            cx.heap.1 = Some(responder);
            cx.attach(request.into_body(), CHUNK);
        })
        .state(CHUNK, |cx, chunk| match chunk {
            Some(chunk) => cx.heap.0.extend_from_slice(&chunk.unwrap()),
            None => {
                let text = String::from_utf8(std::mem::take(&mut cx.heap.0)).unwrap();
                cx.heap.1.take().unwrap().text(text);
            }
        });
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        let head = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
        for part in [head, "3\r\nabc\r\n", "2\r\nde\r\n", "0\r\n\r\n"] {
            send(&mut client, part).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(response(&mut client).await, (200, "abcde".into()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_holds_the_program_back_while_the_client_does_not_read() {
    let senders = Rc::new(RefCell::new(Vec::new()));
    let given = senders.clone();
    let server = builder().get("/", move |_, exchange| {
        let (sender, body) = Body::channel(2);
        given.borrow_mut().push(sender);
        exchange.send(Response::new(body)).unwrap();
    });
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        send(&mut client, get("/")).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let sender = senders.take().remove(0);
        let chunk = Bytes::from(vec![b'x'; 100_000]);
        let mut sent = 0;
        let refused = loop {
            match sender.try_send(chunk.clone()) {
                Ok(()) => sent += 1,
                Err(refused) => break refused,
            }
            assert!(sent < 100, "the channel takes everything");
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert!(refused.is_full());
        assert_eq!(refused.into_chunk(), chunk);
        let (room, _) = tokio::join!(sender.ready(), async {
            let mut bytes = vec![0; 150_000];
            client.read_exact(&mut bytes).await.unwrap();
        });
        assert!(room);
        drop(sender);
        let end = rest(&mut client).await;
        assert!(!end.ends_with(b"0\r\n\r\n"), "a body that breaks off has no end");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_channel_is_a_whole_body() {
    let server = builder().get("/", |_, exchange| {
        let (sender, body) = Body::channel(2);
        sender.try_send("one ").unwrap();
        sender.try_send("two").unwrap();
        sender.finish();
        exchange.send(Response::new(body)).unwrap();
    });
    serving(server, async |kernel, _| {
        let mut client = connect(kernel);
        send(&mut client, "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
        let whole = String::from_utf8(rest(&mut client).await).unwrap();
        assert!(whole.ends_with("4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"), "{whole}");
    })
    .await;
}
