//! The stream under a wheel: one handle for both directions, or one for each.

use super::super::base::Base;
use super::super::error::IoError;
use super::input::Reading;
use super::sockets::{self, follow};
use super::state::PumpState;
use crate::arg::AnyArg;
use crate::error::{Failure, drop_quietly, text_of};
use crate::filter::FilterError;
use crate::kernel::Core;
use crate::name::{HeldName, Name, NameIdx};
use pin_project_lite::pin_project;
use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that a wheel reads and writes.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {
    /// Ends reading, and notifies the peer if that is possible.
    fn close_input(self: Pin<&mut Self>);
    /// The output was shut down. Drops a handle that has no other use.
    fn close_output(self: Pin<&mut Self>);
    fn input(&self) -> Option<&dyn Any>;
    fn output(&self) -> Option<&dyn Any>;
    /// Returns itself as a `Pin<Box<Whole<T>>>`, for a caller that knows the `T`.
    fn into_any(self: Pin<Box<Self>>) -> Box<dyn Any>;
    /// Discards the bytes that the system still has to send: the peer of a TCP connection sees a reset.
    fn abort(self: Pin<&mut Self>) {
        if let Some(output) = self.output() {
            sockets::reset(output);
        }
    }
    /// Discards the input that has arrived, before the stream is closed: otherwise the system resets the connection, and
    /// the peer loses output.
    fn read_away(&self) {
        if let Some(output) = self.output() {
            sockets::discard_input(output);
        }
    }
    /// Registers the stream with the current runtime.
    fn follow_runtime(self: Pin<&mut Self>) -> io::Result<()>;
}

pub(crate) type BoxedDuplex = Pin<Box<dyn Duplex>>;

/// One handle for both directions.
pub(crate) fn whole(io: impl AsyncRead + AsyncWrite + 'static) -> BoxedDuplex {
    Box::pin(Whole { io })
}

/// A handle for each direction.
pub(crate) fn pair(input: impl AsyncRead + 'static, output: impl AsyncWrite + 'static) -> BoxedDuplex {
    Box::pin(Pair {
        input: Some(input),
        output: Some(output),
    })
}

/// Returns the handle itself, if it serves both directions and has that type.
pub(crate) fn unwrap<T: Unpin + 'static>(io: BoxedDuplex) -> Option<T> {
    let whole = io.into_any().downcast::<Pin<Box<Whole<T>>>>().ok()?;
    Some(Pin::into_inner(*whole).io)
}

pin_project! {
    struct Whole<T> {
        #[pin]
        io: T,
    }
}

impl<T: AsyncRead> AsyncRead for Whole<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl<T: AsyncWrite> AsyncWrite for Whole<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + 'static> Duplex for Whole<T> {
    fn close_input(self: Pin<&mut Self>) {
        // A TCP peer would not notice it, and its data could not be drained in `close` any more.
        sockets::end_input(&self.io);
    }
    fn close_output(self: Pin<&mut Self>) {}
    fn input(&self) -> Option<&dyn Any> {
        Some(&self.io)
    }
    fn output(&self) -> Option<&dyn Any> {
        Some(&self.io)
    }
    fn into_any(self: Pin<Box<Self>>) -> Box<dyn Any> {
        Box::new(self)
    }
    fn follow_runtime(self: Pin<&mut Self>) -> io::Result<()> {
        follow(self.project().io)
    }
}

pin_project! {
    /// Each handle is dropped when its direction ends: only this shows the end to the other side of a pipe.
    struct Pair<R, W> {
        #[pin]
        input: Option<R>,
        #[pin]
        output: Option<W>,
    }
}

impl<R: AsyncRead, W> AsyncRead for Pair<R, W> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.project().input.as_pin_mut() {
            Some(input) => input.poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<R, W: AsyncWrite> AsyncWrite for Pair<R, W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.project().output.as_pin_mut() {
            Some(output) => output.poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project().output.as_pin_mut() {
            Some(output) => output.poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project().output.as_pin_mut() {
            Some(output) => output.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<R: AsyncRead + 'static, W: AsyncWrite + 'static> Duplex for Pair<R, W> {
    fn close_input(self: Pin<&mut Self>) {
        self.project().input.set(None);
    }
    fn close_output(self: Pin<&mut Self>) {
        self.project().output.set(None);
    }
    fn input(&self) -> Option<&dyn Any> {
        self.input.as_ref().map(|r| r as &dyn Any)
    }
    fn output(&self) -> Option<&dyn Any> {
        self.output.as_ref().map(|w| w as &dyn Any)
    }
    fn into_any(self: Pin<Box<Self>>) -> Box<dyn Any> {
        Box::new(self)
    }
    fn follow_runtime(self: Pin<&mut Self>) -> io::Result<()> {
        let this = self.project();
        if let Some(input) = this.input.as_pin_mut() {
            follow(input)?;
        }
        this.output.as_pin_mut().map_or(Ok(()), follow)
    }
}

// The events that a pump sends to the wheel's session.
/// The names of a wheel's events, except the input's, which is stored with the filter.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) error: Option<HeldName>,
    pub(crate) flushed: Option<HeldName>,
    pub(crate) high: Option<HeldName>,
    pub(crate) low: Option<HeldName>,
}

/// Dispatches an event to the wheel's session. `None`: the wheel is gone.
pub(super) fn deliver(state: &PumpState, core: &Core, event: NameIdx, arg: AnyArg) -> Option<()> {
    state.base.deliver(core, event, arg)
}

/// Dispatches an event that carries the wheel's ID, if the wheel has a name for it.
pub(super) fn emit(state: &PumpState, core: &Core, which: impl FnOnce(&Events) -> &Option<HeldName>) -> Option<()> {
    let event = which(&state.events.borrow()).as_ref().map(HeldName::idx);
    match event {
        Some(event) => deliver(state, core, event, AnyArg::new(state.base.id())),
        None => Some(()),
    }
}

/// Dispatches an error event. Without one, an error of the filter is logged; others are silent.
///
/// A filter that cannot go on ends the input then, because no handler could replace it.
pub(super) fn report(state: &PumpState, core: &Core, error: IoError) -> Option<()> {
    if let Some(part) = state.part.get() {
        let ends_input = error.as_filter().is_some_and(FilterError::is_fatal) && !part.has_error_event();
        part.failed(core, error)?;
        if ends_input && !state.reading.get().has_ended() {
            state.update_reading(Reading::end);
            state.shut_input();
            part.ended(core)?;
        }
        return Some(());
    }
    let link = state.link.borrow().clone();
    if let Some(link) = link {
        link.failed(error);
        return state.base.is_alive().then_some(());
    }
    let event = state.events.borrow().error.as_ref().map(HeldName::idx);
    if let Some(event) = event {
        return deliver(state, core, event, AnyArg::new(error));
    }
    log_unreported(&state.base, "ReadWrite", &error);
    drop_quietly(error);
    state.base.is_alive().then_some(())
}

/// Reports the bytes that a closed wheel could not write: its only event after the close.
pub(super) fn emit_unwritten(state: &PumpState, core: &Core, error: IoError) {
    let event = state.events.borrow().error.as_ref().map(HeldName::idx);
    if let Some(event) = event {
        let _: Option<()> = deliver(state, core, event, AnyArg::new(error));
        return;
    }
    let (session, id, place) = (state.base.owner(), state.base.id(), state.base.place());
    tracing::warn!(target: "poe::wheels", %session, wheel = %id, %place, "ReadWrite {id} was closed: {error}");
}

/// Logs the error of a filter for which there is no error event.
///
/// A record that could not be made is a peer's fault or a wrong
/// filter, and must not end the program. Its bytes are not logged.
pub(crate) fn log_unreported(base: &Base, wheel: &str, error: &IoError) {
    let Some(filter) = error.as_filter() else { return };
    let (session, id, place, bytes) = (base.owner(), base.id(), base.place(), filter.bytes().len());
    // A filter's error belongs to the user, and its `Display` may panic.
    let error = text_of(error);
    if filter.is_fatal() {
        tracing::error!(
            target: "poe::wheels", %session, wheel = %id, %place, bytes,
            "{wheel} {id} has no error event, and its filter cannot go on: {error}; no more input is read"
        );
    } else {
        tracing::warn!(
            target: "poe::wheels", %session, wheel = %id, %place, bytes,
            "{wheel} {id} has no error event, and a record is skipped: {error}"
        );
    }
}

/// Raises a `DIE` of the session, in the wheel's name.
pub(super) fn die(state: &PumpState, core: &Core, failure: &Failure) {
    let what = match state.part.get() {
        Some(part) => part.name(),
        None => Name::from(&*format!("ReadWrite {}", state.base.id())),
    };
    core.raise_for_task(state.base.owner(), what, failure, state.base.place());
}
