//! Which kernels are shown, and how long.

use crate::kit::{LIMIT, get, sessions_of};
use poe::Kernel;
use poe::component::KernelPool;
use poe::event::START;
use poe::{Session, component::KernelThread};
use poe_inspector::{Inspector, InspectorError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_pool_shows_each_of_its_kernels() {
    let pool = KernelPool::builder(3)
        .setup(|kernel, _| async move { sessions_of(&kernel, 2) })
        .start()
        .unwrap();
    let inspector = Inspector::bind("127.0.0.1:0").start_pool(&pool).await.unwrap();
    let list = get(inspector.local_addr().unwrap(), "/api/v1/kernels").await.json();
    let kernels = list["kernels"].as_array().unwrap();
    let names: Vec<_> = kernels.iter().map(|kernel| kernel["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for kernel in kernels {
        assert_eq!(kernel["stats"]["sessions"], 5, "{kernel}");
    }
    inspector.shutdown();
}

#[tokio::test]
async fn an_inspected_kernel_ends_as_before_and_the_inspector_with_it() {
    let kernel = Kernel::new();
    let inspector = Inspector::bind("127.0.0.1:0").start(&kernel).await.unwrap();
    let address = inspector.local_addr().unwrap();
    drop(inspector);
    let asked = tokio::spawn(async move { get(address, "/api/v1/kernels/0/tree").await });
    Session::builder(())
        .on(START, |cx, ()| cx.delay("end", Duration::from_millis(300), ()))
        .on("end", |_, ()| ())
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(LIMIT, kernel.serve())
        .await
        .expect("its observer is no handle")
        .unwrap();
    assert_eq!(asked.await.unwrap().status, 200);
    drop(kernel);
    let began = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(
            began.elapsed() < LIMIT,
            "the inspector ends when its kernel is gone and nobody has a handle"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_kernel_that_is_gone_says_so_and_makes_room_for_its_successor() {
    let inspector = Inspector::bind("127.0.0.1:0").open().await.unwrap();
    let address = inspector.local_addr().unwrap();
    let start = |inspector: &Inspector| -> KernelThread {
        let inspector = inspector.clone();
        let setup = async move |kernel: &Kernel| {
            inspector.watch("worker", kernel);
            sessions_of(kernel, 0)
        };
        Kernel::builder().spawn_thread("worker", setup).unwrap().1
    };
    let first = start(&inspector);
    assert_eq!(
        get(address, "/api/v1/kernels").await.json()["kernels"][0]["state"],
        "running"
    );
    let _ = first.shutdown(Duration::ZERO).await;
    assert_eq!(
        get(address, "/api/v1/kernels").await.json()["kernels"][0]["state"],
        "gone"
    );
    assert_eq!(get(address, "/api/v1/kernels/worker/timers").await.status, 410);
    let second = start(&inspector);
    let list = get(address, "/api/v1/kernels").await.json();
    assert_eq!(list["kernels"].as_array().unwrap().len(), 1);
    assert_eq!(list["kernels"][0]["state"], "running");
    inspector.shutdown();
    let _ = second.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn other_machines_need_a_token() {
    let kernel = Kernel::new();
    for place in ["0.0.0.0:0", "[::]:0"] {
        let error: InspectorError = Inspector::bind(place).start(&kernel).await.unwrap_err();
        assert!(error.is_exposed(), "{error}");
        assert!(error.to_string().contains("set one with `token`"), "{error}");
    }
    let inspector = Inspector::bind("0.0.0.0:0")
        .token("secret")
        .start(&kernel)
        .await
        .unwrap();
    inspector.shutdown();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Inspector::bind(taken.local_addr().unwrap())
        .start(&kernel)
        .await
        .unwrap_err();
    assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::AddrInUse);
}
