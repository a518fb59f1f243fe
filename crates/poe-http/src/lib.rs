//! HTTP for [`poe`], with the types of the crate [`http`]: a server and a client on hyper, and a pure filter.
//!
//! | you want | use | feature |
//! |---|---|---|
//! | a service: HTTP/1.1 and HTTP/2, TLS, routes, streams, WebSockets, tower services beside sessions | `HttpServer` | `server`, with `websocket`, `files`, `tls` |
//! | responses as events: a pool, TLS, redirections, proxies, progress | `HttpClient` | `client`, with `tls` |
//! | HTTP/1 inside a server of your own, with nothing but a parser | [`Httpd`] | none |
//!
//! `tls` uses the crypto provider that the application has installed, and `ring` brings one. No feature is on by default.
#![cfg_attr(all(feature = "server", feature = "client", feature = "websocket"), doc = include_str!("guide.md"))]
//!
//! # The filter
//!
//! [`Httpd`] is a [`Filter`](poe::filter::Filter), so it works under a [`TcpServer`](poe::component::TcpServer), under a
//! [`ReadWrite`](poe::wheel::ReadWrite) wheel, and by itself, without a kernel or I/O:
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use poe::{Kernel, component::TcpServer};
//! use poe_http::{Httpd, Incoming, keeps_alive};
//!
//! # async fn start() -> Result<(), poe::Error> {
//! let kernel = Kernel::new();
//! let server = TcpServer::builder("127.0.0.1:8080")
//!     .filter(Httpd::new)
//!     .client_input(|cx, incoming| match incoming {
//!         Incoming::Request(request) => {
//!             cx.client().put(Response::new(Bytes::from(format!("this is {}\n", request.uri()))));
//!             if !keeps_alive(&request) {
//!                 cx.client().shutdown();
//!             }
//!         }
//!         Incoming::Expect(go_on) => cx.client().put(go_on), // the client asks whether to send its body
//!         Incoming::Refused(refused) => {
//!             let last = refused.is_last();
//!             cx.client().put(refused.response);
//!             if last {
//!                 cx.client().shutdown();
//!             }
//!         }
//!         Incoming::Chunk(_) | Incoming::End => {} // with `streaming(true)` only
//!     })
//!     .start(&kernel)
//!     .await?;
//! println!("listening on {}", server.local_name());
//! kernel.serve().await
//! # }
//! ```
//!
//! ## What you have to do
//!
//! A filter is pure: it has no clock, no connection and no session. So it adds no `Date`, it does not close a connection
//! ([`keeps_alive`] tells when you should), and it does not know that a response belongs to HEAD. A timeout on slow
//! clients is a setting of the component.
//!
//! ## Limits
//!
//! [`HttpdLimits`] has all limits, each with its default and the status with which a request beyond it is refused.
//! [`Httpd`] says which requests are refused for other reasons: above all, every request that two readers could understand
//! differently, because an attacker hides a second request there.
//!
//! In Perl this is `POE::Filter::HTTPD`. The differences stand in the conformance table of the main crate.

#[cfg(any(feature = "client", feature = "server"))]
mod body;
mod buffer;
mod chunks;
#[cfg(feature = "client")]
mod client;
mod filter;
mod head;
mod incoming;
mod response;
#[cfg(feature = "server")]
mod server;

#[cfg(any(feature = "client", feature = "server"))]
pub use body::{Body, BodyAborted, BodyError, BodySender, NotSent, ReceivedBody};
#[cfg(feature = "client")]
pub use client::{HttpClient, HttpClientBuilder, HttpError, HttpPool, HttpRequest, Progress};
pub use filter::Httpd;
pub use incoming::{HttpdLimits, Incoming, Refused};
pub use response::{Reason, keeps_alive};
#[cfg(feature = "server")]
pub use server::*;

// The README's code, compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
