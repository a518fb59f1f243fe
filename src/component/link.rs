//! The connection, as handlers of its session see it.

use super::callbacks::Wire;
use super::connection::{CUT, REFUSED, SHUTDOWN};
use crate::debug::debug_fields;
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::kernel::KernelRef;
use crate::wheel::{AnyReadWrite, IoError, Level, PutError, PutErrorKind, SocketName};
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// The connection, as handlers see it: [`cx.client()`](crate::Context::client) in a server,
/// [`cx.server()`](crate::Context::server) in a client.
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:0")
///     .client_input(|cx, line: String| {
///         let client = cx.client();
///         assert!(client.is_connected() && client.peer_addr().is_some_and(|addr| addr.ip().is_loopback()));
///         client.put(format!("{} bytes", line.len()));       // the server's filter says what can be put
///         if line == "quit" {
///             client.shutdown();                              // once that is written
///             assert!(!client.is_connected());
///         }
///     })
///     .client_disconnected(|cx| println!("{:?} is gone", cx.client().peer()))
///     .start(&kernel)
///     .await?;
/// TcpClient::builder(server.local_name())
///     .connected(|cx| cx.server().put("quit"))
///     .server_input(|_, line| assert_eq!(line, "4 bytes"))
///     .disconnected(move |_| server.shutdown())
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub struct Link<'k, F: Filter> {
    pub(super) wire: &'k Wire<F>,
    pub(super) kernel: KernelRef<'k>,
    /// Names that are made on demand and returned by reference.
    peer: OnceCell<SocketName>,
    wheel: OnceCell<Rc<AnyReadWrite>>,
}

impl<'k, F: Filter> Link<'k, F> {
    pub(super) fn new(wire: &'k Wire<F>, kernel: KernelRef<'k>) -> Self {
        Link {
            wire,
            kernel,
            peer: OnceCell::new(),
            wheel: OnceCell::new(),
        }
    }

    /// Puts a record, which is written when the handler returns.
    ///
    /// On a connection that has ended the record is dropped. A record that the filter rejects, or that has another type
    /// than a changed filter takes, is reported to the error callback, which gets it with
    /// [`take_refused`](Self::take_refused). [`try_put`](Self::try_put) returns it at once instead.
    ///
    /// ```
    /// use poe::component::{TcpClient, TcpServer};
    /// use poe::filter::{Filter, FilterError, FilterExt, Line, Map};
    /// # use poe::Kernel;
    /// fn single(line: String) -> Result<String, FilterError> {
    ///     if line.contains('\n') { Err(FilterError::custom("two lines in one")) } else { Ok(line) }
    /// }
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0")
    ///     .filter(|| Line::new().then(Map::fallible(Ok, single)))
    ///     .client_connected(|cx| {
    ///         cx.client().put("good");
    ///         cx.client().put("not\ngood");
    ///     })
    ///     .client_error(|cx, error| {
    ///         assert_eq!(error.operation(), "write");
    ///         cx.client().shutdown();
    ///     })
    ///     .start(&kernel)
    ///     .await?;
    /// TcpClient::builder(server.local_name())
    ///     .server_input(|_, line| assert_eq!(line, "good"))
    ///     .disconnected(move |_| server.shutdown())
    ///     .start(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn put(&self, record: impl Into<F::Output>) {
        let Err(refused) = self.try_put(record) else { return };
        let (record, kind) = refused.into_parts();
        let (Some(wheel), false) = (self.wire.wheel(), matches!(kind, PutErrorKind::Closed)) else {
            tracing::debug!(target: "poe::wheels", "put on a connection that has ended");
            return;
        };
        self.wire.refuse(record);
        self.kernel
            .yield_to(REFUSED, IoError::filter("write", wheel.id(), kind.into_filter()));
    }

    /// Takes the record that could not be put; for use in the error callback.
    ///
    /// It is `None` anywhere else, and for a record that the filter had partly consumed before it failed.
    ///
    /// ```
    /// use poe::{Kernel, component::{TcpClient, TcpServer}, filter::Line};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0")
    ///     .filter(Line::bytes)
    ///     .client_connected(|cx| -> poe::HandlerResult {
    ///         let client = cx.client();
    ///         client.wheel().map(|wheel| wheel.set_output_filter(Line::new())).transpose()?;
    ///         client.put(&b"some bytes"[..]);                     // but the filter takes text now
    ///         Ok(())
    ///     })
    ///     .client_error(|cx, error| -> poe::HandlerResult {
    ///         let Some(bytes) = cx.client().take_refused() else { return Ok(()) };
    ///         assert_eq!(error.operation(), "write");
    ///         if let Some(wheel) = cx.client().wheel() {
    ///             wheel.put(String::from_utf8(bytes.to_vec())?)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .start(&kernel)
    ///     .await?;
    /// TcpClient::builder(server.local_name())
    ///     .server_input(move |cx, line| {
    ///         assert_eq!(line, "some bytes");
    ///         cx.server().shutdown();
    ///         server.shutdown();
    ///     })
    ///     .start(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn take_refused(&self) -> Option<F::Output> {
        self.wire.returned.take()
    }

    /// Puts a record, and returns whether the high mark is reached.
    ///
    /// # Errors
    /// The record, if the connection has ended or the filter has no form for it.
    ///
    /// ```
    /// use poe::{Kernel, component::TcpClient};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// TcpClient::builder("127.0.0.1:7")
    ///     .started(|cx| {
    ///         let refused = cx.server().try_put("too early").unwrap_err();
    ///         assert!(refused.is_closed());
    ///         assert_eq!(refused.into_record().unwrap(), "too early");
    ///         cx.server().shutdown();
    ///     })
    ///     .start(&kernel)?;
    /// # kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn try_put(&self, record: impl Into<F::Output>) -> Result<Level, PutError<F::Output>> {
        let record = record.into();
        match self.wire.wheel() {
            Some(wheel) if !self.wire.sealed.get() => wheel.put(record),
            _ => self.wire.put_later(record),
        }
    }

    /// Ends the connection after queued output is written.
    ///
    /// No input callback runs any more; `disconnected` runs when everything is written.
    #[track_caller]
    pub fn shutdown(&self) {
        self.wire.end_input();
        self.kernel.yield_to(SHUTDOWN, ());
    }

    /// Ends the connection at once; output that is not written is lost.
    ///
    /// The `disconnected` callback runs when the handler has returned.
    ///
    /// ```
    /// use poe::{Kernel, component::{TcpClient, TcpServer}};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0")
    ///     .client_connected(|cx| {
    ///         cx.client().put("which nobody reads");
    ///         cx.client().abort();
    ///     })
    ///     .start(&kernel)
    ///     .await?;
    /// TcpClient::builder(server.local_name())
    ///     .server_input(|_, line| println!("in time after all: {line}"))
    ///     .disconnected(move |_| server.shutdown())
    ///     .start(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn abort(&self) {
        self.wire.end_input();
        self.kernel.yield_to(CUT, ());
    }

    /// Returns whether there is a connection whose end was not asked for.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.wire.is_connected()
    }

    /// Returns the peer's name, in any family; `None` before there was a connection.
    #[doc(alias = "remote_ip")]
    #[doc(alias = "remote_port")]
    #[must_use]
    pub fn peer(&self) -> Option<&SocketName> {
        fetched(&self.peer, || self.wire.peer())
    }

    /// Returns the peer's IP address; `None` before there was a connection, and for UNIX sockets.
    #[doc(alias = "remote_addr")]
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer()?.as_socket_addr()
    }

    /// Changes both filters of the connection; each record comes as `event` from then on.
    ///
    /// Bytes that the old filter has not used move to the new one. `event` is an event of yours, added with
    /// [`state`](super::TcpServerBuilder::state), and carries the bare record. Output that was put earlier is not
    /// encoded again. A [`put`](Self::put) of a record of the old type is refused and reported to the error callback;
    /// put records of the new type with [`put_any`](Self::put_any). A new connection, or an [upgrade](Self::upgrade),
    /// has the builder's filter again.
    ///
    /// # Errors
    /// The filter's settings are invalid, or there is no connection; nothing has changed then.
    ///
    /// ```
    /// use poe::{Event, component::TcpServer, filter::Block};
    /// use bytes::Bytes;
    /// const BODY: Event<Bytes> = Event::new("body");
    /// TcpServer::builder("127.0.0.1:0")
    ///     .client_input(|cx, line: String| -> poe::HandlerResult {
    ///         let length = line.trim_start_matches("LENGTH ").parse()?;
    ///         Ok(cx.client().set_filter(Block::fixed(length), BODY)?)
    ///     })
    ///     .state(BODY, |cx, body| -> poe::HandlerResult {
    ///         cx.client().put_any(body)?;
    ///         Ok(cx.client().shutdown())
    ///     });
    /// ```
    #[doc(alias = "set_input_filter")]
    #[doc(alias = "set_output_filter")]
    pub fn set_filter<G: Filter>(&self, filter: G, event: impl Posts<G::Input>) -> Result<(), FilterError> {
        match self.wire.wheel() {
            Some(wheel) if !self.wire.sealed.get() => {
                wheel.set_bare_filter(filter, event)?;
                self.wire.switched.set(true);
                Ok(())
            }
            _ => Err(FilterError::custom(
                "there is no connection whose filter could be changed",
            )),
        }
    }

    /// Puts a record of the type that the present filter takes, after [`set_filter`](Self::set_filter).
    ///
    /// # Errors
    /// The record, if it has another type, if the connection has ended or is being upgraded, or if the filter cannot
    /// encode it.
    pub fn put_any<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        match self.wire.wheel() {
            Some(wheel) if !self.wire.sealed.get() => wheel.put(record),
            _ => Err(PutError::closed(record)),
        }
    }

    /// Returns the wheel, to pause the input, move marks and more; `None` before and after the connection.
    ///
    /// ```
    /// # use poe::component::TcpServer;
    /// TcpServer::builder("127.0.0.1:0")
    ///     .watermarks(64 * 1024, 1024)
    ///     .client_high(|cx| cx.client().wheel().unwrap().pause_input())   // the peer is not read while it does not read
    ///     .client_low(|cx| cx.client().wheel().unwrap().resume_input())
    ///     .client_input(|cx, line| cx.client().put(line.repeat(1000)));
    /// ```
    #[must_use]
    pub fn wheel(&self) -> Option<&AnyReadWrite> {
        fetched(&self.wheel, || self.wire.wheel()).map(|wheel| &**wheel)
    }
}

/// Returns the value in the cell, filled with `fetch` if it is empty.
fn fetched<T>(cell: &OnceCell<T>, fetch: impl FnOnce() -> Option<T>) -> Option<&T> {
    if cell.get().is_none() {
        let _empty_before = cell.set(fetch()?);
    }
    cell.get()
}

debug_fields!([F: Filter] Link<'_, F>, "Link", |this| {
    peer: this.wire.peer(),
    wheel: this.wire.wheel(),
    shutdown: this.wire.shutdown.get(),
});
