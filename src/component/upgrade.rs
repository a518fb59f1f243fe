//! Changes the stream under a connection, for `STARTTLS`.
//!
//! | step | input | output |
//! |---|---|---|
//! | [`Link::upgrade`] | off; bytes that have arrived already end the connection | output put earlier is written;
//! output put from now on waits, and is dropped if the upgrade fails |
//! | the last byte is written | the stream is taken from its wheel, which is dropped | waits |
//! | the future is done | a new wheel with a new filter; paused until the user's event was handled | the waiting output
//! is put |
//!
//! Bytes that arrived in clear text behind the command are not protected by TLS. An honest peer waits for the reply and
//! sends none; an attacker injects some, so that they are taken for bytes of the protected session (CVE-2011-0411).
//! They are never delivered.

use super::callbacks::{Wire, named_future};
use super::connection::{FLUSHED, LOST, Plan, Wired};
use super::link::Link;
use crate::arg::AnyArg;
use crate::bridge::runtime::{Home, poll_here};
use crate::debug::debug_fields;
use crate::error::HandlerResult;
use crate::event::{Event, Posts};
use crate::filter::{Filter, Seam};
use crate::id::{TaskId, WheelId};
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::session::{Context, States};
use crate::wheel::{Level, Limits, PutError, ReadWrite, WheelStream, whole};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The output may have been written.
const UPGRADE: Event<()> = Event::new("tcp_upgrade");
/// The future's result, with the ID of the wheel that the stream came from.
const UPGRADED: Event<(WheelId, io::Result<WheelStream>)> = Event::new("tcp_upgraded");
/// The user's event was handled: that wheel may read now.
const RESUME: Event<WheelId> = Event::new("tcp_resume");

type Making = Pin<Box<dyn Future<Output = io::Result<WheelStream>>>>;
type Make = Box<dyn FnOnce(PlainStream) -> Making>;

/// An upgrade that is under way.
pub(super) struct Upgrade<F: Filter> {
    /// The event that reports the outcome.
    event: HeldName,
    place: &'static Location<'static>,
    stage: Stage,
    /// Records put since the upgrade was asked for.
    later: Vec<F::Output>,
}

enum Stage {
    /// Earlier output is being written.
    Flushing(Make),
    /// The future runs, on the stream of that wheel.
    Working(TaskId, WheelId),
    /// Between two states.
    Moving,
}

impl<F: Filter> Upgrade<F> {
    /// Fails the upgrade, because the connection ends first.
    pub(super) fn give_up(self, kernel: KernelRef<'_>) {
        if let Stage::Working(task, _) = self.stage {
            // Its result may be queued already, and is dropped on arrival.
            let _ = kernel.cancel(task);
        }
        let ended = io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the connection ended before it was upgraded",
        );
        tell(kernel, &self.event, Err(ended), self.place);
    }
}

fn tell(kernel: KernelRef<'_>, event: &HeldName, outcome: io::Result<()>, place: &'static Location<'static>) {
    kernel
        .core
        .deliver(kernel.session_id(), event, AnyArg::new(outcome), place);
}

impl<F: Filter> Wire<F> {
    pub(super) fn is_upgrading(&self) -> bool {
        self.upgrade.borrow().is_some()
    }

    /// Keeps a record until the upgrade is done.
    pub(super) fn put_later(&self, record: F::Output) -> Result<Level, PutError<F::Output>> {
        match &mut *self.upgrade.borrow_mut() {
            Some(upgrade) if self.is_connected() => {
                upgrade.later.push(record);
                Ok(Level::Normal)
            }
            _ => Err(PutError::closed(record)),
        }
    }
}

impl<F: Filter> Link<'_, F> {
    /// Changes the stream under the connection, for `STARTTLS` and the like; `event` reports success or failure.
    ///
    /// Output put earlier is written first. Then `f` gets the stream; the stream that its future returns replaces it.
    /// Session, heap and callbacks stay, and the builder makes a new filter. Records put meanwhile are written to the
    /// new stream. The event's handler runs before the first record of the new stream.
    ///
    /// Bytes that the peer has sent behind the command are not delivered: they came in clear text, and a peer that
    /// waits for your reply sends none. They fail the upgrade and end the connection.
    ///
    /// # Errors
    /// The event carries the error of the future; [`InvalidData`](io::ErrorKind::InvalidData) for bytes that came too
    /// early; [`NotConnected`](io::ErrorKind::NotConnected); [`AlreadyExists`](io::ErrorKind::AlreadyExists) if an
    /// upgrade is under way; [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if the connection ended meanwhile.
    /// The connection ends after a failed upgrade. There is no time limit: wrap the future in `tokio::time::timeout`.
    ///
    /// ```
    /// use poe::{Event, component::{TcpClient, TcpServer}};
    /// use std::io;
    /// # use poe::Kernel;
    /// # struct Acceptor;
    /// # impl Acceptor { async fn accept<S>(&self, stream: S) -> io::Result<S> { Ok(stream) } }
    /// # let acceptor = std::rc::Rc::new(Acceptor);
    /// const SECURED: Event<io::Result<()>> = Event::new("secured");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0")
    ///     .client_heap(|_| false)                                 // not secured yet
    ///     .client_input(move |cx, line: String| {
    ///         let acceptor = acceptor.clone();
    ///         if line == "STARTTLS" {
    ///             cx.client().put("220 ready");
    ///             cx.client().upgrade(|stream| async move { acceptor.accept(stream).await }, SECURED);
    ///         } else {
    ///             cx.client().put(format!("250 {}", *cx.heap));
    ///         }
    ///     })
    ///     .state(SECURED, |cx, outcome| match outcome {
    ///         Ok(()) => *cx.heap = true,
    ///         Err(error) => eprintln!("{:?}: {error}", cx.client().peer()),
    ///     })
    ///     .start(&kernel)
    ///     .await?;
    /// # TcpClient::builder(server.local_name())
    /// #     .connected(|cx| cx.server().put("STARTTLS"))
    /// #     .server_input(move |cx, line| match &*line {
    /// #         "220 ready" => cx.server().put("and?"),
    /// #         other => {
    /// #             assert_eq!(other, "250 true");
    /// #             cx.server().shutdown();
    /// #             server.shutdown();
    /// #         }
    /// #     })
    /// #     .start(&kernel)?;
    /// # kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "Server_SSLify")]
    #[doc(alias = "Client_SSLify")]
    #[doc(alias = "STARTTLS")]
    #[track_caller]
    pub fn upgrade<Fut, S>(&self, f: impl FnOnce(PlainStream) -> Fut + 'static, event: impl Posts<io::Result<()>>)
    where
        Fut: Future<Output = io::Result<S>> + 'static,
        S: AsyncRead + AsyncWrite + 'static,
    {
        let (wire, kernel, place) = (self.wire, self.kernel, Location::caller());
        let event = HeldName::new(event.key());
        let refuse = |kind, why: &str| tell(kernel, &event, Err(io::Error::new(kind, why)), place);
        let Some(wheel) = wire.wheel().filter(|_| wire.is_connected()) else {
            let why = "there is no connection to be upgraded";
            return match wire.is_upgrading() {
                true => refuse(io::ErrorKind::AlreadyExists, "the connection is being upgraded already"),
                false => refuse(io::ErrorKind::NotConnected, why),
            };
        };
        if wire.is_upgrading() {
            return refuse(io::ErrorKind::AlreadyExists, "the connection is being upgraded already");
        }
        wheel.stop_listening();
        wire.sealed.set(true);
        let unread = wheel.input_pending().len();
        if unread > 0 {
            wire.shutdown.set(true);
            tell(kernel, &event, Err(too_early(unread)), place);
            kernel.yield_to(LOST, ());
            return;
        }
        let make: Make = Box::new(move |stream| {
            let making = f(stream);
            Box::pin(async move { Ok(whole(making.await?)) })
        });
        let upgrade = Upgrade {
            event,
            place,
            stage: Stage::Flushing(make),
            later: Vec::new(),
        };
        *wire.upgrade.borrow_mut() = Some(Box::new(upgrade));
        kernel.yield_to(UPGRADE, ());
    }
}

fn too_early(bytes: usize) -> io::Error {
    let what = format!("{bytes} bytes came in clear text behind the command that asked for the upgrade");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<H: 'static, X: Wired> Plan<H, X> {
    pub(super) fn upgrade_states(plan: &Rc<Self>, user: States<H, X>) -> States<H, X> {
        let on_upgraded = plan.clone();
        user.on(UPGRADE, |cx, ()| {
            // Needed even if nothing waits: the stream itself may hold buffered bytes.
            if let Some(wheel) = cx.component().wire().wheel() {
                wheel.set_flushed_event(Some(FLUSHED));
                wheel.ask_flush();
            }
        })
        .on(UPGRADED, move |cx, (wheel, made)| on_upgraded.upgraded(cx, wheel, made))
        .on(RESUME, |cx, id| {
            if let Some(wheel) = cx.component().wire().wheel().filter(|wheel| wheel.id() == id) {
                wheel.resume_input();
            }
        })
    }

    /// Called when everything is written: takes the stream from its wheel, if an upgrade is under way.
    pub(super) fn flushed_for_upgrade(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        let wire = cx.component().wire();
        let Some(mut upgrade) = wire.upgrade.take() else {
            return Ok(());
        };
        let wheel = wire.wheel().filter(|wheel| wheel.buffered_bytes() == 0);
        let (make, wheel) = match (std::mem::replace(&mut upgrade.stage, Stage::Moving), wheel) {
            (Stage::Flushing(make), Some(wheel)) => (make, wheel),
            (stage, _) => {
                upgrade.stage = stage;
                *wire.upgrade.borrow_mut() = Some(upgrade);
                return Ok(());
            }
        };
        let id = wheel.id();
        let taken = wheel.take_stream();
        wire.abort();
        let stream = match taken {
            Some((io, unread, seam)) if unread.is_empty() => PlainStream {
                io,
                seam,
                home: Home::of_a_given(),
            },
            taken => {
                let unread = taken.map_or(0, |(_, unread, _)| unread.len());
                tell(cx.kernel, &upgrade.event, Err(too_early(unread)), upgrade.place);
                cx.yield_to(LOST, ());
                return Ok(());
            }
        };
        let making = named_future("upgrade", cx, async move { make(stream).await });
        let task = cx.spawn(async move { (id, making.await) }, UPGRADED);
        upgrade.stage = Stage::Working(task, id);
        *cx.component().wire().upgrade.borrow_mut() = Some(upgrade);
        Ok(())
    }

    fn upgraded(&self, cx: &mut Context<'_, H, X>, wheel: WheelId, made: io::Result<WheelStream>) -> HandlerResult {
        let wire = cx.component().wire();
        let upgrade = wire.upgrade.take();
        let upgrade = match upgrade {
            Some(upgrade) if matches!(upgrade.stage, Stage::Working(_, id) if id == wheel) => upgrade,
            other => {
                *wire.upgrade.borrow_mut() = other;
                return Ok(());
            }
        };
        // A record has come already: the one that asked for the upgrade.
        let limits = Limits {
            first: None,
            ..self.settings.limits
        };
        let made = made.map(ReadWrite::on_stream);
        let builder = match made {
            Ok(builder) => builder,
            Err(error) => {
                tell(cx.kernel, &upgrade.event, Err(error), upgrade.place);
                cx.yield_to(LOST, ());
                return Ok(());
            }
        };
        let wheel = match self.wheel(cx, builder, limits) {
            Ok(wheel) => wheel,
            Err(failure) => {
                cx.yield_to(LOST, ());
                return Err(failure);
            }
        };
        let id = wheel.id();
        wheel.pause_input();
        wire.set_wheel(wheel);
        wire.sealed.set(false);
        tell(cx.kernel, &upgrade.event, Ok(()), upgrade.place);
        let link = Link::new(wire, cx.kernel);
        for record in upgrade.later {
            link.put(record);
        }
        cx.yield_to(RESUME, id);
        Ok(())
    }
}

/// The stream of a connection, taken from its wheel, for the closure of [`Link::upgrade`].
///
/// It reads and writes the connection's stream: the socket, or the stream that PreConnect made of it.
///
/// ```
/// use poe::component::PlainStream;
/// use std::io;
/// use tokio::io::AsyncReadExt;
/// /// Reads a preface before the protocol goes on.
/// async fn preface(mut stream: PlainStream) -> io::Result<PlainStream> {
///     let mut magic = [0; 4];
///     stream.read_exact(&mut magic).await?;
///     if magic == *b"v2\r\n" { Ok(stream) } else { Err(io::ErrorKind::InvalidData.into()) }
/// }
/// ```
pub struct PlainStream {
    io: WheelStream,
    /// The part of a line end that has not arrived yet.
    seam: Seam,
    home: Home,
}

impl PlainStream {
    fn poll<T>(&mut self, poll: impl FnMut(&mut WheelStream) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        poll_here(&mut self.home, &mut self.io, poll, |io| io.as_mut().follow_runtime())
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let before = buf.filled().len();
            ready!(this.poll(|io| io.as_mut().poll_read(cx, buf)))?;
            let read = &buf.filled()[before..];
            let (all, kept) = (read.len(), this.seam.trim(read).len());
            if kept == all {
                return Poll::Ready(Ok(()));
            }
            buf.filled_mut().copy_within(before + 1.., before);
            buf.set_filled(before + kept);
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(|io| io.as_mut().poll_write(cx, bytes))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|io| io.as_mut().poll_flush(cx))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|io| io.as_mut().poll_shutdown(cx))
    }
}

debug_fields!([] PlainStream, "PlainStream", |_this| { .. });
