//! What an inspector may do: nothing, unless the program and the token allow it.

use crate::kit::{ADD, SUM, Service, get_with, kernel, post, until};
use poe_inspector::Inspector;

const TOKEN: &str = "Authorization: Bearer secret\r\n";
const POST: &str = "/api/v1/kernels/service/post";
const ADDED: &str = r#"{"to":"counter","event":"add","arg":1000000}"#;

#[tokio::test]
async fn without_a_token_there_are_none() {
    let service = Service::start(
        Inspector::bind("127.0.0.1:0").allow(ADD).allow_stop().allow_signals(),
        0,
    )
    .await;
    let address = service.address();
    for action in ["post", "signal", "stop", "options"] {
        let refused = post(address, &format!("/api/v1/kernels/service/{action}"), "", ADDED).await;
        assert_eq!(refused.status, 403, "{action}");
        assert!(refused.body.contains("actions need a token"), "{}", refused.body);
    }
    service.end().await;
}

#[tokio::test]
async fn what_the_program_has_not_allowed_is_refused() {
    let service = Service::start(Inspector::bind("127.0.0.1:0").token("secret"), 0).await;
    let address = service.address();
    for (action, body) in [
        ("post", ADDED),
        ("signal", r#"{"to":"counter","signal":"TERM"}"#),
        ("stop", r#"{"to":1}"#),
    ] {
        let refused = post(address, &format!("/api/v1/kernels/service/{action}"), TOKEN, body).await;
        assert_eq!(refused.status, 403, "{action}");
    }
    service.end().await;
}

#[tokio::test]
async fn what_it_has_allowed_is_done_with_arguments_of_the_right_type() {
    let service = Service::start(
        Inspector::bind("127.0.0.1:0")
            .token("secret")
            .allow(ADD)
            .allow_stop()
            .allow_signals(),
        0,
    )
    .await;
    let address = service.address();
    assert_eq!(post(address, POST, TOKEN, ADDED).await.status, 200);
    assert!(service.handle.call("counter", SUM, ()).await.unwrap() >= 1_000_000);
    for (body, status) in [
        (r#"{"to":"counter","event":"add","arg":"many"}"#, 422),
        (r#"{"to":"counter","event":"add","arg":-1}"#, 422),
        (r#"{"to":"counter","event":"break"}"#, 403),
        (r#"{"to":4711,"event":"add","arg":1}"#, 404),
        (r#"{"event":"add","arg":1}"#, 400),
        ("{", 400),
    ] {
        assert_eq!(post(address, POST, TOKEN, body).await.status, status, "{body}");
    }
    let options = post(
        address,
        "/api/v1/kernels/service/options",
        TOKEN,
        r#"{"rate":123,"slow_ms":0.5}"#,
    )
    .await;
    assert_eq!(options.status, 200);
    let list = get_with(address, "/api/v1/kernels", TOKEN).await.json();
    assert_eq!(list["kernels"][0]["rate_limit"], 123);
    let stopped = post(address, "/api/v1/kernels/service/stop", TOKEN, r#"{"to":"clock"}"#).await;
    assert_eq!(stopped.status, 200);
    let began = std::time::Instant::now();
    while get_with(address, "/api/v1/kernels/service/sessions/clock", TOKEN)
        .await
        .status
        != 404
    {
        assert!(began.elapsed() < crate::kit::LIMIT);
    }
    // The kernel itself is no session.
    assert_eq!(
        post(address, "/api/v1/kernels/service/stop", TOKEN, r#"{"to":0}"#)
            .await
            .status,
        404
    );
    service.end().await;
}

#[tokio::test]
async fn reading_needs_no_token_where_none_is_set() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 0).await;
    until(service.address(), "", |kernel| kernel["state"] == "running").await;
    assert_eq!(kernel(service.address(), "/sessions/1").await["aliases"][0], "counter");
    service.end().await;
}
