//! The same where there are no sockets: streams are in memory.

use std::any::Any;
use std::io;
use std::pin::Pin;

pub(super) fn reset(_: &dyn Any) {}

pub(super) fn discard_input(_: &dyn Any) {}

pub(super) fn end_input(_: &dyn Any) {}

pub(super) fn follow<T: 'static>(_: Pin<&mut T>) -> io::Result<()> {
    Ok(())
}
