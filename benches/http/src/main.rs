//! `http-peers ours|hyper` serves "Hello, World!" on one thread and prints `listening on ADDR` first. `run.sh` asks both.
//!
//! Both give the same headers but for hyper's `date`, which it renders once a second; a filter has no clock.

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poe::Kernel;
use poe::component::TcpServer;
use poe_http::{Httpd, Incoming, keeps_alive};
use std::convert::Infallible;
use tokio::net::TcpListener;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match std::env::args().nth(1).as_deref() {
        Some("ours") => runtime.block_on(ours()),
        Some("hyper") => runtime.block_on(hyper()),
        _ => eprintln!("http-peers ours|hyper"),
    }
}

const BODY: Bytes = Bytes::from_static(b"Hello, World!");

async fn ours() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(Httpd::new)
        .client_input(|cx, incoming| match incoming {
            Incoming::Request(request) => {
                let mut response = Response::new(BODY);
                let headers = response.headers_mut();
                headers.insert("content-type", HeaderValue::from_static("text/plain"));
                cx.client().put(response);
                if !keeps_alive(&request) {
                    cx.client().shutdown();
                }
            }
            Incoming::Refused(refused) => cx.client().put(refused.response),
            _ => {}
        })
        .start(&kernel)
        .await
        .expect("it listens");
    println!("listening on {}", server.local_name());
    kernel.serve().await.expect("it serves");
}

async fn hyper() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    println!("listening on {}", listener.local_addr().expect("it has an address"));
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                // A failure only costs time.
                let _ = stream.set_nodelay(true);
                tokio::task::spawn_local(async move {
                    let service = service_fn(|_: Request<hyper::body::Incoming>| async {
                        let mut response = Response::new(Full::new(BODY));
                        let headers = response.headers_mut();
                        headers.insert("content-type", HeaderValue::from_static("text/plain"));
                        Ok::<_, Infallible>(response)
                    });
                    let mut builder = hyper::server::conn::http1::Builder::new();
                    builder.pipeline_flush(true);
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        })
        .await;
}
