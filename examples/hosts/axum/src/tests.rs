//! Routes and session on virtual time: minutes pass in no time, and no port is opened.

use crate::{counter, web};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use poe::{Kernel, testing};
use std::time::Duration;
use tokio::time::sleep;
use tower::ServiceExt;

/// A request, and what came back.
async fn ask(app: &Router, method: &str, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Runs a test beside the kernel that it is about.
async fn beside<T>(kernel: &Kernel, test: impl Future<Output = T>) -> T {
    tokio::select! {
        done = test => done,
        served = kernel.serve() => panic!("the kernel has ended: {served:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_are_added_and_others_are_refused() {
    let kernel = testing::kernel();
    counter::start(&kernel, Duration::from_secs(1)).unwrap();
    let app = web::routes(kernel.handle());
    beside(&kernel, async {
        assert_eq!(
            ask(&app, "POST", "/add", "40").await,
            (StatusCode::OK, "40\n".to_owned())
        );
        assert_eq!(
            ask(&app, "POST", "/add", "2").await,
            (StatusCode::OK, "42\n".to_owned())
        );
        assert_eq!(ask(&app, "POST", "/add", "two").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&app, "GET", "/count", "").await.1, "42\n");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_is_closed_when_it_is_over() {
    let kernel = testing::kernel();
    counter::start(&kernel, Duration::from_secs(1)).unwrap();
    let app = web::routes(kernel.handle());
    beside(&kernel, async {
        ask(&app, "POST", "/add", "7").await;
        sleep(Duration::from_secs(59)).await;
        assert_eq!(ask(&app, "GET", "/last-minute", "").await.1, "0\n");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(ask(&app, "GET", "/last-minute", "").await.1, "7\n");
        sleep(Duration::from_secs(60)).await;
        assert_eq!(ask(&app, "GET", "/last-minute", "").await.1, "0\n");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn it_says_that_it_is_not_ready_before_it_ends() {
    let kernel = testing::kernel();
    counter::start(&kernel, Duration::from_secs(10)).unwrap();
    let app = web::routes(kernel.handle());
    let balancer = async {
        assert_eq!(ask(&app, "GET", "/ready", "").await.0, StatusCode::OK);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(ask(&app, "GET", "/ready", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            ask(&app, "POST", "/add", "1").await.0,
            StatusCode::OK,
            "what is under way is served"
        );
        sleep(Duration::from_secs(10)).await;
        assert_eq!(ask(&app, "POST", "/add", "1").await.0, StatusCode::SERVICE_UNAVAILABLE);
    };
    let end = sleep(Duration::from_secs(2));
    let (report, ()) = tokio::join!(kernel.serve_until(end, Duration::from_secs(30)), balancer);
    assert!(report.unwrap().is_clean());
    testing::assert_no_leaks(&kernel);
}
