//! `HttpClient` on virtual time, against `HttpServer` in memory.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response};
use poe::event::{START, STOP};
use poe::{Context, Event, Kernel, Session, SessionBuilder, TaskId, testing};
use poe_http::{
    Body, HttpClient, HttpClientBuilder, HttpError, HttpLimits, HttpServer, HttpServerBuilder, Progress, ReceivedBody,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};

type Reply = Result<Response<Bytes>, HttpError>;
const GOT: Event<(u32, Reply)> = Event::new("got");
const ADDRESS: &str = "memory:http";

/// What the sessions of a test have noted.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }
}

/// A session with a client, which notes each response.
fn asker(
    http: &HttpClient,
    log: &Log,
    asks: impl Fn(&mut Context<'_, HttpClient>) + 'static,
) -> SessionBuilder<HttpClient> {
    let log = log.clone();
    Session::builder(http.clone())
        .on(START, move |cx, ()| asks(cx))
        .on(GOT, move |_, (tag, reply): (u32, Reply)| {
            log.add(match reply {
                Ok(reply) => {
                    let body = reply.body();
                    let text = if body.len() < 100 {
                        String::from_utf8_lossy(body).into_owned()
                    } else {
                        body.len().to_string()
                    };
                    format!("{tag} {} {text}", reply.status().as_u16())
                }
                Err(error) => format!("{tag} {error}"),
            });
        })
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://test{path}")).body(()).unwrap()
}

/// Runs a server and a client, until nothing of the client is left.
async fn with<H: 'static, S>(
    server: HttpServerBuilder<H, S>,
    client: HttpClientBuilder,
    begin: impl FnOnce(&Kernel, HttpClient, &HttpServer),
) {
    let kernel = testing::kernel();
    let server = server.start(&kernel).await.unwrap();
    let (ask, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<io::Result<DuplexStream>>>();
    let client = client.connect_with(move |_| {
        let ask = ask.clone();
        async move {
            let (tell, told) = oneshot::channel();
            ask.send(tell).unwrap();
            told.await.unwrap()
        }
    });
    let client = client.start(&kernel).unwrap();
    let id = client.session_id();
    begin(&kernel, client, &server);
    let ends = async {
        let mut sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                Some(tell) = asked.recv() => drop(tell.send(testing::connect(&kernel, ADDRESS))),
                () = &mut sleep => {
                    if !kernel.is_alive(id) {
                        return server.shutdown();
                    }
                    sleep = Box::pin(tokio::time::sleep(Duration::from_millis(100)));
                }
            }
        }
    };
    let (ran, ()) = tokio::join!(kernel.run(), ends);
    ran.unwrap();
    testing::assert_no_leaks(&kernel);
}

const LATER: Event<poe_http::Exchange> = Event::new("later");

fn server() -> HttpServerBuilder<(), poe::component::WithCallbacks> {
    HttpServer::builder(ADDRESS)
        .get("/", |_, exchange| exchange.text("hello"))
        .post("/echo", |_, exchange| {
            let text = format!("{:?} {:?}", exchange.request.headers().get("x"), exchange.body());
            exchange.text(text);
        })
        .get("/later", |cx, exchange| {
            cx.delay_set(LATER, Duration::from_secs(1), exchange);
        })
        .get("/never", |cx, exchange| {
            cx.delay_set(LATER, Duration::from_secs(50), exchange);
        })
        .state(LATER, |_, exchange| exchange.text("later"))
        .get("/large", |_, exchange| {
            exchange.send(Response::new(vec![b'x'; 1_000_000])).unwrap()
        })
        .get("/to/{path}", |_, exchange| {
            let to = format!("../{}", exchange.param("path").unwrap());
            let response = Response::builder().status(302).header("location", to).body(()).unwrap();
            exchange.send(response).unwrap();
        })
        .get("/loop", |_, exchange| {
            let response = Response::builder()
                .status(307)
                .header("location", "/loop")
                .body(())
                .unwrap();
            exchange.send(response).unwrap();
        })
        .route(Method::POST, "/again", |_, exchange| {
            let response = Response::builder()
                .status(308)
                .header("location", "echo")
                .body(())
                .unwrap();
            exchange.send(response).unwrap();
        })
}

#[tokio::test(start_paused = true)]
async fn responses_are_events_with_the_request_s_tag() {
    let log = Log::default();
    with(server(), HttpClient::builder(), |kernel, http, _| {
        let asks = asker(&http, &log, |cx| {
            let http = cx.heap.clone();
            http.request(get("/later")).send(cx, 1, GOT);
            http.request(get("/")).send(cx, 2, GOT);
            http.request(get("/nowhere")).send(cx, 3, GOT);
            let post = Request::post("http://test/echo").header("x", "y").body("text").unwrap();
            http.request(post).send(cx, 4, GOT);
            assert_eq!(http.pending(), 4);
        });
        asks.create(kernel).unwrap();
    })
    .await;
    let mut lines = log.0.take();
    assert_eq!(lines.pop().unwrap(), "1 200 later");
    lines.sort();
    assert_eq!(
        lines,
        ["2 200 hello", "3 404 Not Found\n", "4 200 Some(\"y\") b\"text\""]
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_serves_many_requests_and_ends_with_the_client() {
    const NEXT: Event<(u32, Reply)> = Event::new("next");
    for h2 in [false, true] {
        let most = Rc::new(Cell::new(0));
        let seen = most.clone();
        let mut client = HttpClient::builder();
        if h2 {
            client = client.http2_only();
        }
        with(server(), client, |kernel, http, server| {
            let server = server.clone();
            Session::builder(http)
                .on(START, |cx, ()| {
                    cx.heap.request(get("/")).send(cx, 0, NEXT);
                })
                .on(NEXT, move |cx, (count, reply)| {
                    assert_eq!(reply.unwrap().body(), "hello");
                    seen.set(seen.get().max(server.connections()));
                    if count < 100 {
                        cx.heap.request(get("/")).send(cx, count + 1, NEXT);
                    }
                })
                .create(kernel)
                .unwrap();
        })
        .await;
        assert_eq!(most.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_told_by_its_kind() {
    type Kind = fn(&HttpError) -> bool;
    let cases: [(&str, Kind); 4] = [
        ("/never", HttpError::is_timeout),
        ("/large", HttpError::is_too_large),
        ("/loop", HttpError::is_redirect),
        ("ftp", HttpError::is_connect),
    ];
    let seen = Rc::new(Cell::new(0));
    let sees = seen.clone();
    let client = HttpClient::builder().timeout(Duration::from_secs(5)).max_body(100_000);
    with(server(), client, |kernel, http, _| {
        Session::builder(http)
            .on(START, move |cx, ()| {
                for (number, (path, _)) in cases.iter().enumerate() {
                    let request = match *path {
                        "ftp" => Request::get("ftp://test/").body(()).unwrap(),
                        path => get(path),
                    };
                    cx.heap.request(request).send(cx, number as u32, GOT);
                }
            })
            .on(GOT, move |_, (tag, reply)| {
                let error = reply.unwrap_err();
                for (number, (path, kind)) in cases.iter().enumerate() {
                    assert_eq!(kind(&error), number == tag as usize, "{path}: {error}");
                }
                sees.set(sees.get() + 1);
            })
            .create(kernel)
            .unwrap();
    })
    .await;
    assert_eq!(seen.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn redirections_are_followed() {
    let log = Log::default();
    with(server(), HttpClient::builder(), |kernel, http, _| {
        let asks = asker(&http, &log, |cx| {
            let http = cx.heap.clone();
            http.request(get("/to/later")).send(cx, 1, GOT);
            let post = Request::post("http://test/again")
                .header("x", "y")
                .body("text")
                .unwrap();
            http.request(post).send(cx, 2, GOT);
            let (sender, body) = Body::channel(1);
            sender.finish();
            http.request(Request::post("http://test/again").body(body).unwrap())
                .send(cx, 3, GOT);
        });
        asks.create(kernel).unwrap();
    })
    .await;
    let mut lines = log.0.take();
    lines.sort();
    assert_eq!(
        lines,
        ["1 200 later", "2 200 Some(\"y\") b\"text\"", "3 308 "],
        "a stream cannot be sent again"
    );
    let log = Log::default();
    with(server(), HttpClient::builder().redirects(0), |kernel, http, _| {
        let asks = asker(&http, &log, |cx| {
            cx.heap.request(get("/to/later")).send(cx, 1, GOT);
        });
        asks.create(kernel).unwrap();
    })
    .await;
    assert_eq!(log.0.take(), ["1 302 "]);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_their_turn_and_too_many_are_refused() {
    let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (n, m) = (now.clone(), most.clone());
    let server = HttpServer::builder(ADDRESS)
        .get("/", move |cx, exchange| {
            n.set(n.get() + 1);
            m.set(m.get().max(n.get()));
            cx.delay_set(LATER, Duration::from_secs(1), exchange);
        })
        .state(LATER, move |_, exchange| {
            now.set(now.get() - 1);
            exchange.text("done");
        });
    let log = Log::default();
    with(
        server,
        HttpClient::builder().per_host(3).capacity(10),
        |kernel, http, _| {
            let asks = asker(&http, &log, |cx| {
                for number in 0..12 {
                    cx.heap.request(get("/")).send(cx, number, GOT);
                }
            });
            asks.create(kernel).unwrap();
        },
    )
    .await;
    let lines = log.0.take();
    assert_eq!(most.get(), 3);
    assert_eq!(lines.iter().filter(|line| line.contains("200 done")).count(), 10);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("the limit of `capacity`"))
            .count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_sends_no_event() {
    let log = Log::default();
    with(server(), HttpClient::builder(), |kernel, http, _| {
        const CANCEL: Event<TaskId> = Event::new("cancel");
        let asks = asker(&http, &log, |cx| {
            let task = cx.heap.request(get("/never")).send(cx, 1, GOT);
            cx.delay(CANCEL, Duration::from_secs(1), task);
        });
        let asks = asks.on(CANCEL, |cx, task| {
            assert_eq!(cx.heap.pending(), 1);
            assert!(cx.cancel(task));
            assert_eq!(cx.heap.pending(), 0);
        });
        asks.create(kernel).unwrap();
    })
    .await;
    assert!(log.0.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_and_bodies_are_streams() {
    const PROGRESS: Event<(u32, Progress)> = Event::new("progress");
    const HEAD: Event<(u32, Result<Response<ReceivedBody>, HttpError>)> = Event::new("head");
    let log = Log::default();
    let (told, counted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (tells, counts) = (told.clone(), counted.clone());
    with(server(), HttpClient::builder(), |kernel, http, _| {
        let asks = asker(&http, &log, |cx| {
            let http = cx.heap.clone();
            http.request(get("/large")).send_with_progress(cx, 1, GOT, PROGRESS);
            http.request(get("/large")).stream(cx, 2, HEAD);
        });
        let asks = asks
            .on(PROGRESS, move |_, (tag, progress)| {
                assert_eq!((tag, progress.total), (1, Some(1_000_000)));
                assert!(progress.received > tells.replace(progress.received));
            })
            .on(HEAD, move |cx, (_, response)| {
                let counts = counts.clone();
                let mut body = response.unwrap().into_body();
                let count = async move {
                    let mut bytes = 0;
                    while let Some(chunk) = body.next().await {
                        bytes += chunk.unwrap().len();
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    bytes
                };
                cx.spawn_then(count, move |_, bytes| counts.set(bytes));
            });
        asks.create(kernel).unwrap();
    })
    .await;
    assert_eq!((told.get(), counted.get()), (1_000_000, 1_000_000));
    assert_eq!(log.0.take(), ["1 200 1000000"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_requests_end_and_takes_no_more() {
    let log = Log::default();
    with(server(), HttpClient::builder().alias("http"), |kernel, http, _| {
        assert!(kernel.resolve("http").is_some());
        let asks = asker(&http, &log, |cx| {
            let http = cx.heap.clone();
            http.request(get("/later")).send(cx, 1, GOT);
            let end = Duration::from_millis(500);
            cx.delay("end", end, ());
            cx.state("end", |cx: &mut Context<'_, HttpClient>, ()| {
                cx.heap.shutdown();
                cx.heap.request(get("/")).send(cx, 2, GOT);
            });
        });
        asks.create(kernel).unwrap();
    })
    .await;
    assert_eq!(log.0.take(), ["2 the client was shut down", "1 200 later"]);
}

#[tokio::test(start_paused = true)]
async fn layers_wrap_the_pool() {
    let log = Log::default();
    let layer = tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        request
            .headers_mut()
            .insert("x", http::HeaderValue::from_static("layer"));
        request
    });
    with(server(), HttpClient::builder().layer(layer), |kernel, http, _| {
        let asks = asker(&http, &log, |cx| {
            let post = Request::post("http://test/echo").body("text").unwrap();
            cx.heap.request(post).send(cx, 1, GOT);
        });
        asks.create(kernel).unwrap();
    })
    .await;
    assert_eq!(log.0.take(), ["1 200 Some(\"layer\") b\"text\""]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_closes_while_idle_is_replaced() {
    let limits = HttpLimits {
        idle_timeout: Duration::from_secs(2),
        ..HttpLimits::default()
    };
    let log = Log::default();
    with(server().limits(limits), HttpClient::builder(), |kernel, http, _| {
        let asks = asker(&http, &log, |cx| {
            cx.heap.request(get("/")).send(cx, 1, GOT);
            cx.delay("again", Duration::from_secs(10), ());
            cx.state("again", |cx: &mut Context<'_, HttpClient>, ()| {
                cx.heap.request(get("/")).send(cx, 2, GOT);
            });
        });
        asks.on(STOP, |_, ()| ()).create(kernel).unwrap();
    })
    .await;
    assert_eq!(log.0.take(), ["1 200 hello", "2 200 hello"]);
}

/// A peer that replies once on each connection, and closes it when the next request has come.
async fn replies_once(mut stream: DuplexStream) {
    for reply in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ""] {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_the_end_of_its_connection_is_sent_again_if_that_is_harmless() {
    let kernel = testing::kernel();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let client = HttpClient::builder().connect_with(move |_| {
        counted.fetch_add(1, Relaxed);
        let (near, far) = tokio::io::duplex(1024);
        tokio::spawn(replies_once(far));
        std::future::ready(io::Result::Ok(near))
    });
    let log = Log::default();
    let notes = log.clone();
    Session::builder(client.start(&kernel).unwrap())
        .on(START, |cx, ()| {
            cx.heap.request(get("/")).send(cx, 1, GOT);
        })
        .on(GOT, move |cx, (tag, reply): (u32, Reply)| {
            match &reply {
                Ok(reply) => notes.add(format!("{tag} {}", reply.status())),
                Err(error) => notes.add(format!("{tag} {error}")),
            }
            match tag {
                1 => {
                    cx.heap.request(get("/")).send(cx, 2, GOT);
                }
                2 => {
                    let post = Request::post("http://test/").body("once").unwrap();
                    cx.heap.request(post).send(cx, 3, GOT);
                }
                _ => {}
            }
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    let log = log.0.take();
    assert_eq!(log[..2], ["1 200 OK", "2 200 OK"]);
    assert!(log[2].starts_with("3 the request has failed: "), "{log:?}");
    assert_eq!(connections.load(Relaxed), 2);
}

#[tokio::test]
async fn nobody_listens_and_an_unknown_host_are_errors_of_connecting() {
    let kernel = Kernel::new();
    let http = HttpClient::builder().start(&kernel).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let seen = Rc::new(Cell::new(0));
    let sees = seen.clone();
    Session::builder(http)
        .on(START, move |cx, ()| {
            let urls = [
                format!("http://127.0.0.1:{port}/"),
                "http://nowhere.invalid/".into(),
                "https://127.0.0.1/".into(),
            ];
            for (number, url) in urls.into_iter().enumerate() {
                let request = Request::get(url).body(()).unwrap();
                cx.heap.request(request).send(cx, number as u32, GOT);
            }
        })
        .on(GOT, move |_, (number, reply)| {
            let error = reply.unwrap_err();
            assert!(error.is_connect(), "{number}: {error}");
            sees.set(sees.get() + 1);
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(seen.get(), 3);
}
