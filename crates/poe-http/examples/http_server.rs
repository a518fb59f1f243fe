//! An HTTP server: keep-alive, pipelining, uploads with a length or in chunks.
//!
//! `cargo run --release -p poe-http --example http_server -- 127.0.0.1:8080 [--max-content N]` prints
//! `listening on ADDR` first. SIGINT and SIGTERM end the server in good order: what was put is written, then the
//! connections close.
//!
//! ```text
//! curl http://127.0.0.1:8080/                  hello
//! curl --data 'with peas' …/echo               with peas
//! curl -H 'Transfer-Encoding: chunked' …       the same
//! curl -I …/                                   what GET would say, without the body
//! ```

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use poe::component::TcpServer;
use poe::{Kernel, hosts};
use poe_http::{Httpd, Incoming, keeps_alive};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut address = String::from("127.0.0.1:0");
    let mut max_content = 1024 * 1024;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--max-content" => max_content = args.next().ok_or("--max-content wants a number")?.parse()?,
            _ => address = arg,
        }
    }

    let kernel = Kernel::new();
    let server = TcpServer::builder(address)
        .filter(move || Httpd::new().max_content(max_content))
        .linger(Duration::from_secs(2))
        .client_input(|cx, incoming| match incoming {
            Incoming::Request(request) => {
                let goes_on = keeps_alive(&request);
                cx.client().put(reply(request, goes_on));
                if !goes_on {
                    cx.client().shutdown();
                }
            }
            // The client wants to know whether to send its upload.
            Incoming::Expect(go_on) => cx.client().put(go_on),
            Incoming::Refused(refused) => {
                let last = refused.is_last();
                cx.client().put(refused.response);
                if last {
                    // It may still be sending: what comes is dropped, so that it gets the reply and not a reset.
                    cx.client().shutdown();
                }
            }
            // For filters that stream.
            Incoming::Chunk(_) | Incoming::End => {}
        })
        .start(&kernel)
        .await?;
    println!("listening on {}", server.local_name());

    let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(5)).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}

fn reply(request: Request<Bytes>, goes_on: bool) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let mut response = match (head.uri.path(), &head.method) {
        ("/", &Method::GET | &Method::HEAD) => Response::new(Bytes::from_static(b"hello\n")),
        ("/echo", &Method::POST | &Method::PUT) => Response::new(body),
        ("/" | "/echo", _) => {
            let mut response = said(StatusCode::METHOD_NOT_ALLOWED);
            let allow = if head.uri.path() == "/" {
                "GET, HEAD"
            } else {
                "POST, PUT"
            };
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            response
        }
        _ => said(StatusCode::NOT_FOUND),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if !goes_on {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    } else if head.version < http::Version::HTTP_11 {
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    if is_head {
        let length = response.body().len();
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        *response.body_mut() = Bytes::new();
    }
    response
}

/// A status, with its usual words for a body.
fn said(status: StatusCode) -> Response<Bytes> {
    let words = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(Bytes::from(format!("{words}\n")));
    *response.status_mut() = status;
    response
}
