//! Calls of a handler as a `tower::Service`: readiness is room in the inbox.

use crate::laws_kit::ms;
use poe::event::START;
use poe::{Event, HandlerResult, Kernel, OnFailure, Reply, Session};
use std::task::Poll;
use std::time::Duration;
use tower::{Service, ServiceBuilder, ServiceExt};

const DOUBLE: Event<u32, u32> = Event::new("double");
const NEVER: Event<(), ()> = Event::new("never");
const FAIL: Event<(), ()> = Event::new("fail");

fn kernel(capacity: usize) -> Kernel {
    let kernel = Kernel::builder()
        .inbox_capacity(capacity)
        .on_failure(OnFailure::StopSession)
        .build();
    Session::builder(Vec::new())
        .on(START, |cx, ()| cx.alias_set("doubler"))
        .on(DOUBLE, |_, n| Reply(2 * n))
        .on(NEVER, |cx, ()| {
            let (reply, pending) = cx.defer_reply();
            cx.heap.push(reply);
            pending
        })
        .on(FAIL, |_, ()| -> HandlerResult<Reply<()>> { Err("as asked".into()) })
        .create(&kernel)
        .unwrap();
    kernel
}

async fn beside<T>(kernel: &Kernel, test: impl Future<Output = T>) -> T {
    tokio::select! {
        done = test => done,
        served = kernel.serve() => panic!("the kernel has ended: {served:?}"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it did not end within 60 s"),
    }
}

#[tokio::test]
async fn requests_are_calls_also_through_layers() {
    let kernel = kernel(16);
    let service = ServiceBuilder::new()
        .buffer(8)
        .load_shed()
        .concurrency_limit(4)
        .map_request(|n: u8| u32::from(n))
        .service(kernel.handle().service("doubler", DOUBLE));
    beside(&kernel, async {
        let asked = (0..100_u8).map(|n| service.clone().oneshot(n));
        for (n, reply) in asked.enumerate() {
            assert_eq!(reply.await.unwrap(), 2 * n as u32);
        }
    })
    .await;
}

#[tokio::test]
async fn errors_say_what_they_are() {
    let kernel = kernel(16);
    let handle = kernel.handle();
    beside(&kernel, async {
        let nobody = handle.service("nobody", DOUBLE).oneshot(1).await.unwrap_err();
        assert!(nobody.is_no_such_session(), "{nobody}");
        let late = handle
            .service("doubler", NEVER)
            .timeout(ms(5))
            .oneshot(())
            .await
            .unwrap_err();
        assert!(late.to_string().contains("no reply"), "{late}");
        let failed = handle.service("doubler", FAIL).oneshot(()).await.unwrap_err();
        assert!(failed.is_died(), "{failed}");
    })
    .await;
    drop(kernel);
    let closed = handle.service("doubler", DOUBLE).ready().await.map(drop).unwrap_err();
    assert!(closed.to_string().contains("kernel"), "{closed}");
}

#[tokio::test]
async fn it_is_ready_when_there_is_room_which_is_then_its_own() {
    let kernel = kernel(2);
    let handle = kernel.handle();
    let (mut first, mut second) = (handle.service("doubler", DOUBLE), handle.service("doubler", DOUBLE));
    let mut ready = tokio_test::task::spawn(());
    let mut poll = |service: &mut poe::handle::CallService<u32, u32>| ready.enter(|cx, _| service.poll_ready(cx));
    assert!(matches!(poll(&mut first), Poll::Ready(Ok(()))));
    assert!(
        matches!(poll(&mut first), Poll::Ready(Ok(()))),
        "one place, however often it is asked"
    );
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(()))));
    // Both places are kept; a clone has none.
    let mut third = first.clone();
    assert!(poll(&mut third).is_pending());
    // A service that is dropped gives its place to the next one.
    drop(second);
    assert!(matches!(poll(&mut third), Poll::Ready(Ok(()))));
    let mut fourth = third.clone();
    assert!(poll(&mut fourth).is_pending());
    // A call uses the room.
    let (one, three) = (first.call(1), third.call(3));
    assert!(poll(&mut fourth).is_pending());
    assert!(poll(&mut first).is_pending());
    beside(&kernel, async move {
        assert_eq!((one.await.unwrap(), three.await.unwrap()), (2, 6));
        assert_eq!(fourth.ready().await.unwrap().call(4).await.unwrap(), 8);
        assert_eq!(first.ready().await.unwrap().call(5).await.unwrap(), 10);
    })
    .await;
}

#[tokio::test]
async fn many_clones_through_a_small_inbox_lose_nothing() {
    let kernel = kernel(2);
    let service = kernel.handle().service("doubler", DOUBLE);
    beside(&kernel, async {
        let clients: Vec<_> = (0..50_u32)
            .map(|client| {
                let mut service = service.clone();
                tokio::spawn(async move {
                    for n in 0..20 {
                        let asked = 100 * client + n;
                        assert_eq!(service.ready().await.unwrap().call(asked).await.unwrap(), 2 * asked);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    })
    .await;
}
