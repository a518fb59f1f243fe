//! Kernels that talk to one another: Perl's inter-kernel communication (IKC) for tokio-poe.
//!
//! A kernel publishes events of its sessions. Other kernels post to them and call them, with the address `poe://kernel/session` and the
//! same typed keys that are used inside a kernel. The protocol is that of Perl's `POE::Component::IKC` 0.24, so the other kernel may be a
//! Perl program. Two peers of this crate agree on MessagePack in place of Perl's Storable.
//!
//! ```
//! use poe::{Event, Kernel, Reply, Session, event::START};
//! use poe_ikc::{Ikc, IkcTcp, RemoteError};
//! use std::time::Duration;
//! const ADD: Event<(u64, u64), u64> = Event::new("add");
//! const SUM: Event<Result<u64, RemoteError>> = Event::new("sum");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One kernel has a session that adds. This would be another process, perhaps in Perl.
//! let server = Kernel::new();
//! let ikc = Ikc::builder("Pulse").publish("calc", |p| p.event(ADD)).start(&server)?;
//! Session::builder(())
//!     .on(START, |cx, ()| cx.alias_set("calc"))
//!     .on(ADD, |_, (a, b)| Reply(a + b))
//!     .create(&server)?;
//! let address = ikc.listen(IkcTcp::bind("127.0.0.1:0")).await?;
//!
//! // Another one calls it.
//! let client = Kernel::new();
//! let ikc = Ikc::builder("Asker").start(&client)?;
//! ikc.connect(IkcTcp::connect(address.to_string())).await?;
//! Session::builder(ikc.clone())
//!     .on("ask", |cx, ()| -> poe::HandlerResult {
//!         Ok(cx.heap.call(cx, "poe://Pulse/calc", ADD, (20, 22), SUM, Duration::from_secs(5))?)
//!     })
//!     .on(SUM, |cx, sum| {
//!         assert_eq!(sum, Ok(42));
//!         cx.heap.shutdown(); // ends the client's run
//!     })
//!     .on(START, |cx, ()| cx.alias_set("asker"))
//!     .create(&client)?;
//! let ask = async {
//!     ikc.registered("Pulse").await?;
//!     client.post("asker", "ask", ()).map_err(poe::Error::from)?;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! };
//! tokio::select! {
//!     (ran, asked) = async { tokio::join!(client.run(), ask) } => { ran?; asked? }
//!     ended = server.run() => ended?,
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What can be reached
//!
//! Only what is [published](IkcBuilder::publish), and the replies that a call waits for. Everything else is refused with IKC's error report,
//! told to [monitors](Ikc::monitor), and [counted](Ikc::counters). A request that fails in its handler is reported to the peer and stops no
//! session here. No serializer runs code.
//!
//! The protocol has neither authentication nor encryption: a peer may claim any name that is free. So [`IkcTcp`] accepts addresses of this
//! machine alone, unless TLS tells who a peer is (`Bind::tls` and `Dial::tls`, with the feature `tls`) or you say `insecure()`, and [`IkcUnix`]
//! sockets are open to this user alone. [`Ikc::attach`] takes any other stream.
//!
//! # Delivery
//!
//! | | |
//! |---|---|
//! | order | per connection, as sent |
//! | a post | at most once; lost without notice if the connection ends before the peer has read it |
//! | a call | one event comes: the reply, a refusal, a timeout, or the loss of the connection; in the last two cases the handler may have run |
//! | a post to a kernel that is not connected | an error that gives the argument back, or kept ([`IkcBuilder::keep_unreachable`]) |
//! | a peer that does not read | an error above [`IkcBuilder::max_output`] |
//!
//! # Many kernels
//!
//! With the feature `nats` kernels talk over a [NATS](https://nats.io) server: `Ikc::join`, in the module `nats`.
//!
//! # Perl's values
//!
//! An event from Perl has one value, of any structure, which must fit the argument's type. Events through a proxy have a list of
//! arguments: none is `()`, one is the value itself, several are a tuple. [`Args`] takes any list, and
//! [`Value`](poe::storable::Value) any value.

mod args;
mod bounds;
mod builder;
mod calls;
mod channel;
mod dispatch;
mod error;
mod hub;
mod ikc;
mod lite;
mod monitor;
#[cfg(feature = "nats")]
pub mod nats;
mod net;
mod payload;
mod publish;
mod responder;
mod sender;
mod sessions;
mod specifier;
mod subscribe;
mod tikc;
mod trace;
pub mod wire;

// The README's code, compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
// The guide's chapter, which the main crate cannot compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/kernels.md")]
mod guide {}

pub use args::Args;
pub use bounds::Counters;
pub use builder::IkcBuilder;
pub use error::{IkcError, RemoteError, SendError};

pub use ikc::Ikc;
pub use lite::{AsyncLite, Lite};
pub use monitor::{Notice, Occurrence};
#[cfg(unix)]
pub use net::IkcUnix;
pub use net::{Bind, Dial, IkcTcp};
pub use publish::Publish;
pub use specifier::{AddressError, Specifier};
pub use subscribe::Subscription;
