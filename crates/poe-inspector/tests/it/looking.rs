//! What is shown of one kernel.

use crate::kit::{BLOCK, BREAK, LIMIT, Service, get, kernel, until};
use poe_inspector::Inspector;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn json_has_sessions_timers_and_what_keeps_them_alive() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 100).await;
    let address = service.address();
    let list = get(address, "/api/v1/kernels").await.json();
    assert_eq!(list["kernels"][0]["name"], "service");
    assert_eq!(list["kernels"][0]["stats"]["sessions"], 103);

    // A tree with the fleet's sessions in one line, which opens.
    let tree = kernel(address, "/tree").await;
    let lines = tree["lines"].as_array().unwrap();
    let labels: Vec<_> = lines.iter().map(|line| line["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["service", "counter", "clock", "fleet", "100 sessions"]);
    assert_eq!(tree["total"], 5);
    let key = lines[4]["key"].as_str().unwrap().replace(':', "%3A");
    let open = kernel(address, &format!("/tree?open={key}&offset=50&limit=3")).await;
    assert_eq!(
        (&open["total"], open["lines"].as_array().unwrap().len()),
        (&json!(105), 3)
    );
    assert_eq!(open["lines"][0]["depth"], 3);
    let found = kernel(address, "/tree?filter=clo").await;
    assert_eq!(
        (&found["total"], &found["lines"][0]["label"]),
        (&json!(1), &json!("clock"))
    );
    let closed = kernel(address, "/tree?closed=3").await;
    assert_eq!(closed["total"], 4);

    let page = kernel(address, "/sessions?offset=101&limit=5").await;
    assert_eq!(
        (&page["total"], page["sessions"].as_array().unwrap().len()),
        (&json!(103), 2)
    );

    let clock = kernel(address, "/sessions/clock").await;
    assert_eq!((&clock["id"], &clock["heap_type"]), (&json!(2), &json!("()")));
    let holds = clock["holds"].as_array().unwrap();
    let timer = holds.iter().find(|hold| hold["kind"] == "timer").unwrap();
    assert_eq!(timer["name"], "tick");
    assert!(timer["place"].as_str().unwrap().contains("kit.rs:"));
    assert_eq!(kernel(address, "/sessions/2").await["aliases"], json!(["clock"]));
    assert_eq!(
        get(address, "/api/v1/kernels/service/sessions/nobody").await.status,
        404
    );
    assert_eq!(kernel(address, "/sessions/nobody?optional=1").await, json!(null));

    let timers = kernel(address, "/timers?limit=2").await;
    assert_eq!(
        (&timers["total"], timers["timers"].as_array().unwrap().len()),
        (&json!(101), 2)
    );
    assert_eq!(timers["timers"][0]["to_name"], "clock");
    assert!(kernel(address, "/queue").await["events"].is_array());
    assert_eq!(kernel(address, "/wheels").await["total"], 0);
    for path in [
        "/api/v1/nothing",
        "/api/v1/kernels/nobody",
        "/nothing",
        "/api/v1/kernels/service/nothing",
    ] {
        assert_eq!(get(address, path).await.status, 404, "{path}");
    }
    service.end().await;
}

#[tokio::test]
async fn nothing_is_recorded_before_somebody_looks_and_then_everything() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 0).await;
    let address = service.address();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The first request begins it.
    assert_eq!(kernel(address, "/handlers").await["recorded"], 0);
    let handlers = until(address, "/handlers", |found| found["recorded"].as_u64().unwrap() > 20).await;
    let events: Vec<_> = handlers["handlers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["event"].as_str().unwrap())
        .collect();
    assert!(events.contains(&"tick") && events.contains(&"add"), "{events:?}");
    let history = until(address, "/history", |found| {
        found["points"].as_array().unwrap().len() >= 2
    })
    .await;
    let point = history["points"].as_array().unwrap().last().unwrap();
    assert_eq!((&point["sessions"], &point["sampled"]), (&json!(3), &json!(false)));
    assert!(point["events"].as_f64().unwrap() > 20.0, "{point}");
    assert!(point["wait_us"].as_f64().unwrap() > 0.0, "{point}");
    let last = point["t"].as_u64().unwrap();
    let later = kernel(address, &format!("/history?since={last}")).await;
    assert!(
        later["points"]
            .as_array()
            .unwrap()
            .iter()
            .all(|point| point["t"].as_u64().unwrap() > last)
    );
    service.end().await;
}

#[tokio::test]
async fn above_the_rate_it_is_a_sample_and_says_so() {
    let service = Service::start(Inspector::bind("127.0.0.1:0").rate(10), 0).await;
    let address = service.address();
    // The burst that is recorded in full goes by first.
    let sampled = until(address, "/history", |found| {
        found["points"]
            .as_array()
            .unwrap()
            .iter()
            .any(|point| point["sampled"] == true)
    })
    .await;
    let point = sampled["points"]
        .as_array()
        .unwrap()
        .iter()
        .find(|point| point["sampled"] == true)
        .unwrap();
    assert!(
        point["events"].as_f64().unwrap() > 20.0,
        "the posts are counted all the same: {point}"
    );
    let before = kernel(address, "/handlers").await["recorded"].as_u64().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = kernel(address, "/handlers").await["recorded"].as_u64().unwrap();
    assert!(after - before <= 25, "{before} to {after}");
    service.end().await;
}

/// Reads a stream until it has that text.
pub(crate) async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 8192];
    let reading = async {
        while !text.contains(wanted) {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the stream has ended before `{wanted}`: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    if tokio::time::timeout(LIMIT, reading).await.is_err() {
        panic!("`{wanted}` never came: {text}");
    }
    text
}

#[tokio::test]
async fn the_stream_has_who_posted_what_from_which_line_and_filters() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 0).await;
    let address = service.address();
    kernel(address, "/tree").await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /api/v1/kernels/service/stream?event=add HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, "\"event\":\"add\"").await;
    assert!(text.contains("text/event-stream"));
    assert!(
        text.contains("\"from_name\":\"clock\"") && text.contains("\"to_name\":\"counter\""),
        "{text}"
    );
    assert!(
        text.contains("kit.rs:") && text.contains("\"outcome\":\"handled\""),
        "{text}"
    );
    assert!(!text.contains("\"event\":\"tick\""), "{text}");
    service.end().await;
}

#[tokio::test]
async fn a_failure_is_logged_though_nobody_looked() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 0).await;
    let address = service.address();
    service.handle.post("counter", BREAK, ()).unwrap();
    let log = until(address, "/log", |log| log["totals"]["failures"] == 1).await;
    let entries = log["entries"].as_array().unwrap();
    let failure = entries.iter().find(|entry| entry["kind"] == "failure").unwrap();
    assert_eq!((&failure["subject"], &failure["session"]), (&json!("break"), &json!(1)));
    assert!(failure["text"].as_str().unwrap().contains("it was asked to"));
    // The events that were on their way to it.
    service.handle.post("counter", BREAK, ()).unwrap();
    until(address, "/log", |log| log["totals"]["dead_letters"].as_u64() > Some(0)).await;
    service.end().await;
}

#[tokio::test]
async fn a_kernel_that_does_not_reply_is_called_silent() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 0).await;
    let address = service.address();
    let free = Arc::new(AtomicBool::new(false));
    service.handle.post("counter", BLOCK, free.clone()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = get(address, "/api/v1/kernels/service/timers").await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("a handler does not return"), "{}", refused.body);
    let list = get(address, "/api/v1/kernels").await.json();
    assert_eq!(list["kernels"][0]["state"], "silent");
    free.store(true, Ordering::Relaxed);
    until(address, "", |kernel| kernel["state"] == "running").await;
    service.end().await;
}

#[tokio::test]
async fn metrics_are_complete_families() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 5).await;
    let address = service.address();
    until(address, "/handlers", |found| found["recorded"].as_u64().unwrap() > 5).await;
    let response = get(address, "/metrics").await;
    assert!(response.head.contains("text/plain; version=0.0.4"));
    let mut family = String::new();
    let mut seen = std::collections::BTreeSet::new();
    for line in response.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap().to_owned();
            assert!(seen.insert(family.clone()), "{family} comes twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(&family), "{line} is in the family {family}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    for line in [
        "poe_up{kernel=\"service\"} 1",
        "poe_sessions{kernel=\"service\"} 8",
        "poe_timers{kernel=\"service\"} 6",
    ] {
        assert!(response.body.contains(line), "{line} is missing in {}", response.body);
    }
    assert!(
        response
            .body
            .contains("poe_handler_seconds_bucket{kernel=\"service\",event=\"tick\",le=\"+Inf\"}")
    );
    service.end().await;
}

#[tokio::test]
async fn the_page_is_one_document_that_loads_nothing_from_elsewhere() {
    let service = Service::start(Inspector::bind("127.0.0.1:0"), 0).await;
    let page = get(service.address(), "/").await;
    assert_eq!(page.status, 200);
    for header in [
        "content-security-policy: default-src 'none'",
        "x-frame-options: deny",
        "x-content-type-options: nosniff",
    ] {
        assert!(page.head.contains(header), "{header}: {}", page.head);
    }
    assert!(!page.head.contains("access-control"), "no CORS");
    assert!(!page.body.contains("{nonce}") && !page.body.contains("/*script*/"));
    let others =
        page.body.matches("http").filter(|_| true).count() - page.body.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(
        others,
        page.body.matches("httpd").count(),
        "no address of another server"
    );
    // Each document has a nonce of its own.
    assert_ne!(page.head, get(service.address(), "/").await.head);
    service.end().await;
}
