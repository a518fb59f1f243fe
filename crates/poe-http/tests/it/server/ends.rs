//! How a server starts, and how it ends.

use super::*;
use poe::event::START;
use poe::{Event, Session};
use poe_http::{Exchange, HttpLimits};
use std::cell::RefCell;
use std::rc::Rc;

const LATER: Event<Exchange> = Event::new("later");

fn slow() -> HttpServerBuilder<(), poe::component::WithCallbacks> {
    builder()
        .get("/", |_, exchange| exchange.text("hello"))
        .get("/slow", |cx, exchange| {
            cx.delay_set(LATER, Duration::from_secs(10), exchange);
        })
        .state(LATER, |_, exchange| exchange.text("slow"))
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_requests_end_and_closes_the_rest() {
    let kernel = testing::kernel();
    let server = slow().alias("web").start(&kernel).await.unwrap();
    let talk = async {
        let (mut idle, mut busy) = (connect(&kernel), connect(&kernel));
        send(&mut idle, get("/")).await;
        assert_eq!(response(&mut idle).await.0, 200);
        send(&mut busy, get("/slow")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        kernel.post("web", poe::component::SHUTDOWN, ()).unwrap();
        let (time, _) = timed(rest(&mut idle)).await;
        assert!(time < Duration::from_millis(10), "{time:?}");
        assert!(testing::connect(&kernel, ADDRESS).is_err());
        let (time, reply) = timed(response(&mut busy)).await;
        assert_eq!((time.as_secs(), reply), (9, (200, "slow".into())));
        assert!(rest(&mut busy).await.is_empty());
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
    testing::assert_no_leaks(&kernel);
    server.shutdown(); // changes nothing any more
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_after_its_limit() {
    let limits = HttpLimits {
        drain_timeout: Duration::from_secs(5),
        ..HttpLimits::default()
    };
    let kernel = testing::kernel();
    let server = slow().limits(limits).start(&kernel).await.unwrap();
    let talk = async {
        let mut busy = connect(&kernel);
        send(&mut busy, get("/slow")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.shutdown();
        let (time, bytes) = timed(rest(&mut busy)).await;
        assert_eq!((time.as_secs(), bytes.len()), (5, 0));
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_gets_503_while_the_server_drains() {
    let kept = Rc::new(RefCell::new(None));
    let keeps = kept.clone();
    let server = builder().get("/", move |_, exchange| *keeps.borrow_mut() = Some(exchange));
    serving(server, async |kernel, server| {
        let mut client = connect(kernel);
        send(&mut client, get("/")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.shutdown();
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(kept.take());
        assert_eq!(response(&mut client).await.0, 503);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_the_kernel_drains_its_servers() {
    let kernel = testing::kernel();
    slow().start(&kernel).await.unwrap();
    let talk = async {
        let mut busy = connect(&kernel);
        send(&mut busy, get("/slow")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (report, reply) = tokio::join!(kernel.shutdown(Duration::from_secs(60)), response(&mut busy));
        assert!(report.is_clean(), "{report}");
        assert_eq!(reply, (200, "slow".into()));
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connections_are_seen_and_end_with_their_session() {
    let kernel = testing::kernel();
    let server = slow().start(&kernel).await.unwrap();
    let talk = async {
        let mut busy = connect(&kernel);
        send(&mut busy, get("/slow")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let alive = kernel.why_alive().to_string();
        assert!(alive.contains("HTTP connection of"), "{alive}");
        server.abort();
        assert!(rest(&mut busy).await.is_empty());
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn an_address_in_use_is_an_error_of_the_start() {
    let kernel = testing::kernel();
    let server = slow().alias("one").start(&kernel).await.unwrap();
    let error = slow().start(&kernel).await.unwrap_err();
    assert!(error.to_string().contains(ADDRESS), "{error}");
    let error = builder()
        .get("/a", |_, exchange| exchange.text(""))
        .get("/a", |_, exchange| exchange.text(""))
        .start(&kernel)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("`/a` has a handler for GET already"),
        "{error}"
    );
    let error = start_in_handler(&kernel, builder().get("/{a", |_, exchange| exchange.text(""))).unwrap_err();
    assert!(error.to_string().contains("`/{a`"), "{error}");
    server.shutdown();
    kernel.run().await.unwrap();
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn a_handler_starts_a_server_below_its_session() {
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let server = cx.start(slow().started(|cx| assert!(cx.component().local_name().is_some())))?;
            cx.delay("end", Duration::from_secs(5), ());
            cx.state("end", move |_, ()| server.shutdown());
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let talk = async {
        assert_eq!(ask(&kernel, &get("/")).await.1, "hello");
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
    testing::assert_no_leaks(&kernel);
}
