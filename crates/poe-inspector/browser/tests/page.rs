//! The page in a real browser, driven through ChromeDriver. `.ci/inspector` installs both and runs this.

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use poe::component::{Backoff, ChildSpec, KernelThread, Starter, Strategy, Supervisor};
use poe::event::START;
use poe::{Event, HandlerResult, Kernel, KernelHandle, OnFailure, Session};
use poe_inspector::Inspector;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TICK: Event<u32> = Event::new("tick");
const BREAK: Event<()> = Event::new("break");
const LIMIT: Duration = Duration::from_secs(30);

/// A command that WebDriver's standard does not have.
#[derive(Debug)]
struct Extra(&'static str, Value);

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.1.to_string()))
    }
}

struct Browser {
    client: Client,
    driver: Child,
    profile: PathBuf,
}

impl Browser {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed");
        let profile = std::env::temp_dir().join(format!("poe-inspector-{}-{port}", std::process::id()));
        let mut flags: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ]
        .into_iter()
        .chain([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ])
        .map(str::to_owned)
        .collect();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(wanted) = wanted else {
            unreachable!("it is an object")
        };
        let began = Instant::now();
        let client = loop {
            let connected = ClientBuilder::new(HttpConnector::new())
                .capabilities(wanted.clone())
                .connect(&format!("http://127.0.0.1:{port}"))
                .await;
            match connected {
                Ok(client) => break client,
                Err(error) if began.elapsed() > LIMIT => panic!("no session with ChromeDriver: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        Browser {
            client,
            driver,
            profile,
        }
    }

    async fn devtools(&self, command: &str, params: Value) {
        let body = json!({ "cmd": command, "params": params });
        self.client.issue_cmd(Extra("goog/cdp/execute", body)).await.unwrap();
    }

    async fn screen(&self, width: u32, height: u32, dark: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": if width < 500 { 2 } else { 1 }, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = json!([{ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": scheme }))
            .await;
    }

    async fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else {
            return;
        };
        let picture = self.client.screenshot().await.unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), picture).unwrap();
    }

    async fn js(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    async fn click(&self, css: &str) {
        self.client
            .find(Locator::Css(css))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    /// Waits until an expression is true in the page.
    async fn until(&self, condition: &str) {
        let began = Instant::now();
        while self.js(&format!("return !!({condition})")).await != json!(true) {
            if began.elapsed() > LIMIT {
                self.shot("failed").await;
                panic!("it was never true: {condition}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Errors in the browser's console.
    async fn errors(&self) -> Vec<Value> {
        let log = self
            .client
            .issue_cmd(Extra("se/log", json!({ "type": "browser" })))
            .await
            .unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.into_iter().filter(|entry| entry["level"] == "SEVERE").collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // TERM, because it then ends the browser too.
        let _ = Command::new("kill").arg(self.driver.id().to_string()).status();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// A kernel with a supervised child that fails on demand, and so many further sessions.
fn service(inspector: &Inspector, sessions: u32) -> (KernelHandle, KernelThread) {
    let inspector = inspector.clone();
    Kernel::builder()
        .on_failure(OnFailure::StopSession)
        .spawn_thread("service", async move |kernel: &Kernel| {
            inspector.watch("service", kernel);
            let backoff = Backoff::new().first(Duration::from_millis(1500)).jitter(0.0);
            let child = ChildSpec::new("worker", |cx: &mut Starter<'_>| {
                let worker = Session::builder(String::from("idle"))
                    .on(START, |cx, ()| cx.delay(TICK, Duration::from_millis(50), 0))
                    .on(BREAK, |_, ()| -> HandlerResult { Err("it was asked to".into()) })
                    .on(TICK, |cx, n| {
                        cx.yield_to("work", ());
                        cx.delay(TICK, Duration::from_millis(50), n + 1);
                    })
                    .on("work", |_, ()| ());
                cx.create(worker)
            });
            Supervisor::builder(Strategy::OneForOne)
                .name("supervisor")
                .alias("supervisor")
                .child(child.alias("worker").backoff(backoff))
                .start(kernel)?;
            Session::builder(())
                .on(START, move |cx, ()| -> HandlerResult {
                    cx.alias_set("fleet")?;
                    for number in 0..sessions {
                        let one =
                            Session::builder(number).on(START, |cx, ()| cx.delay(TICK, Duration::from_secs(3600), 0));
                        cx.create(one.on(TICK, |_, _: u32| ()))?;
                    }
                    Ok(())
                })
                .create(kernel)?;
            Ok(())
        })
        .unwrap()
}

async fn inspector() -> (Inspector, String) {
    let inspector = Inspector::bind("127.0.0.1:0").open().await.unwrap();
    let url = inspector.url().unwrap();
    (inspector, url)
}

async fn end(inspector: Inspector, handle: KernelHandle, thread: KernelThread) {
    drop(handle);
    inspector.shutdown();
    // Timers of an hour are left: the limit ends them.
    let _ = thread.shutdown(Duration::from_millis(100)).await;
}

const ROWS: &str = "[...document.querySelectorAll('.row')].filter(row => !row.hidden)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and ChromeDriver: .ci/inspector"]
async fn the_page_shows_a_kernel_that_fails_and_recovers() {
    let (inspector, url) = inspector().await;
    let (handle, thread) = service(&inspector, 200);
    let browser = Browser::start().await;
    browser.screen(1280, 800, false).await;
    browser.client.goto(&url).await.unwrap();

    // The tree has the supervisor, its child, the fleet, and the fleet's sessions in one line.
    browser
        .until("document.getElementById('count').textContent === '203'")
        .await;
    browser
        .until(&format!("{ROWS}.some(row => row.textContent.includes('200 sessions'))"))
        .await;

    // A click opens a session, with the line that set its timer.
    browser
        .until(&format!(
            "{ROWS}.some(row => row.querySelector('.label').textContent === 'worker')"
        ))
        .await;
    browser
        .js(&format!(
            "{ROWS}.find(row => row.querySelector('.label').textContent === 'worker').click()"
        ))
        .await;
    browser
        .until("/timer/.test(document.querySelector('#pane-session .why')?.textContent)")
        .await;
    browser
        .until("/page\\.rs:\\d+/.test(document.querySelector('#pane-session .why').textContent)")
        .await;
    assert!(
        browser
            .js("return location.hash")
            .await
            .as_str()
            .unwrap()
            .contains("session=")
    );

    // The charts move.
    browser
        .until("document.querySelector('#chart-events').dataset.t > 0")
        .await;
    let before = browser
        .js("return document.querySelector('#chart-events').dataset.t")
        .await;
    let moved = format!("document.querySelector('#chart-events').dataset.t !== {before}");
    browser.until(&moved).await;
    browser
        .until("parseFloat(document.querySelector('#chart-events').textContent) > 20")
        .await;

    // A failure turns the child red; then it is restarted, and well again.
    handle.post("worker", BREAK, ()).unwrap();
    let state = |state: &str| {
        format!(
            "{ROWS}.some(row => row.querySelector('.label').textContent === 'worker' && row.dataset.state === '{state}')"
        )
    };
    browser.until(&state("failed")).await;
    browser.shot("failed-child").await;
    browser.until(&state("restarted")).await;
    browser.until(&state("busy")).await;
    browser.click("#tab-log").await;
    browser
        .until("/it was asked to/.test(document.querySelector('#pane-log').textContent)")
        .await;

    // The stream flows, pauses, and flows again.
    browser.click("#tab-events").await;
    browser
        .until("document.querySelectorAll('#stream tr').length > 5")
        .await;
    browser.click("#pause").await;
    browser
        .until("/paused, [1-9]/.test(document.querySelector('#pane-events').textContent)")
        .await;
    let text = browser.js("return document.querySelector('#stream').textContent").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(
        text,
        browser.js("return document.querySelector('#stream').textContent").await,
        "it is paused"
    );
    browser.click("#pause").await;
    browser
        .until(&format!("document.querySelector('#stream').textContent !== {text}"))
        .await;
    browser
        .client
        .find(Locator::Css("#stream-filter"))
        .await
        .unwrap()
        .send_keys("work")
        .await
        .unwrap();
    browser
        .until("document.querySelectorAll('#stream tr').length > 3")
        .await;
    let events = "[...document.querySelectorAll('#stream td.event')].every(cell => cell.textContent === 'work')";
    browser.until(events).await;

    // Every tab opens.
    for tab in ["timers", "handlers", "wheels", "session"] {
        browser.click(&format!("#tab-{tab}")).await;
        browser
            .until(&format!(
                "document.querySelector('#pane-{tab}').textContent.length > 15"
            ))
            .await;
    }
    assert_eq!(browser.errors().await, Vec::<Value>::new());
    browser.client.clone().close().await.unwrap();
    end(inspector, handle, thread).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and ChromeDriver: .ci/inspector"]
async fn ten_thousand_sessions_stay_responsive() {
    let (inspector, url) = inspector().await;
    let (handle, thread) = service(&inspector, 10_000);
    let browser = Browser::start().await;
    browser.screen(1280, 800, false).await;
    browser.client.goto(&url).await.unwrap();
    browser
        .until("/10.?003/.test(document.getElementById('count').textContent)")
        .await;
    browser
        .js(&format!(
            "{ROWS}.find(row => row.textContent.includes('sessions')).click()"
        ))
        .await;
    browser.until(&format!("{ROWS}.length > 15")).await;
    // Somewhere in the middle.
    browser
        .js("document.getElementById('list').scrollTop = 5000 * 28")
        .await;
    browser
        .until(&format!("{ROWS}.some(row => row.textContent.includes('u32 #5'))"))
        .await;
    let rows = browser.js("return document.querySelectorAll('.row').length").await;
    assert!(rows.as_u64().unwrap() < 100, "only what is visible exists: {rows} rows");
    // From the click to the details of the session in the document.
    let click = "
        const done = arguments[arguments.length - 1];
        const rows = [...document.querySelectorAll('.row')].filter(row => !row.hidden && row.line.kind === 'session');
        const row = rows[4 + (window.round = (window.round || 0) + 1) % 8];
        const pane = document.getElementById('pane-session');
        const began = performance.now();
        new MutationObserver((_, observer) => {
            if (pane.dataset.session !== row.line.key) return;
            observer.disconnect();
            done(performance.now() - began);
        }).observe(pane, { childList: true, attributes: true });
        row.click();
    ";
    let mut times = Vec::new();
    for _ in 0..20 {
        browser
            .until(&format!(
                "{ROWS}.filter(row => row.line.kind === 'session').length > 16"
            ))
            .await;
        let took = browser.client.execute_async(click, vec![]).await.unwrap();
        times.push(took.as_f64().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times.sort_by(f64::total_cmp);
    println!(
        "click to details with 10 003 sessions: median {:.1} ms, longest {:.1} ms",
        times[10], times[19]
    );
    assert!(times[10] <= 100.0, "{times:?}");
    browser.shot("ten-thousand").await;
    assert_eq!(browser.errors().await, Vec::<Value>::new());
    browser.client.clone().close().await.unwrap();
    end(inspector, handle, thread).await;
}

/// Pictures of a running example, `INSPECTED=http://127.0.0.1:7669/`, for the eye and for README.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium, ChromeDriver and a running example: .ci/inspector"]
async fn screenshots_in_every_size_and_colour() {
    let url = std::env::var("INSPECTED").expect("INSPECTED is the address of a running example");
    let browser = Browser::start().await;
    let seconds: u64 = std::env::var("SECONDS_BEFORE")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(3);
    browser.screen(1280, 800, false).await;
    browser.client.goto(&url).await.unwrap();
    browser.until(&format!("{ROWS}.length > 8")).await;
    browser
        .until("document.querySelector('#chart-events').dataset.t > 0")
        .await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    // It may be down at the moment.
    browser
        .until(&format!(
            "{ROWS}.some(row => row.line.kind === 'session' && row.line.label === 'feed')"
        ))
        .await;
    browser
        .js(&format!(
            "{ROWS}.find(row => row.querySelector('.label').textContent === 'feed').click()"
        ))
        .await;
    for (width, height, size) in [(1280, 800, "wide"), (400, 860, "narrow")] {
        for (dark, colour) in [(false, "light"), (true, "dark")] {
            browser.screen(width, height, dark).await;
            for tab in ["session", "events", "timers", "handlers", "wheels", "log"] {
                // Without a folder for them only the widths are checked.
                let is_kept = std::env::var_os("SCREENSHOTS").is_some();
                if tab != "session" && (!is_kept || dark != (width > 500)) {
                    continue;
                }
                browser
                    .js(&format!(
                        "document.querySelector('#tab-{tab}').click(); dispatchEvent(new Event('resize'))"
                    ))
                    .await;
                tokio::time::sleep(Duration::from_millis(1000)).await;
                let wide = browser.js("return document.documentElement.scrollWidth").await;
                assert!(
                    wide.as_u64().unwrap() <= u64::from(width),
                    "{size}, {tab}: the page is {wide} wide"
                );
                browser.shot(&format!("{size}-{colour}-{tab}")).await;
                if width < 500 && tab != "session" {
                    browser.js("document.querySelector('#side').scrollIntoView()").await;
                    browser.shot(&format!("{size}-{colour}-{tab}-below")).await;
                    browser.js("scrollTo(0, 0)").await;
                }
            }
            browser.js("document.querySelector('#as-picture').click()").await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            browser.shot(&format!("{size}-{colour}-picture")).await;
            browser
                .js("document.querySelector('#as-list').click(); document.querySelector('#tab-session').click()")
                .await;
        }
    }
    assert_eq!(browser.errors().await, Vec::<Value>::new());
    browser.client.clone().close().await.unwrap();
}
