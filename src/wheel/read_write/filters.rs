//! The filters of a ReadWrite: changing and accessing them.

use super::{AnyReadWrite, ReadWrite};
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind, Failure};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::name::HeldName;
use crate::wheel::pump::{Input, TypedFormatter, TypedParser};
use bytes::Bytes;
use std::any::{TypeId, type_name};
use std::fmt;

impl<O: 'static> ReadWrite<O> {
    /// Changes the output filter for another one that takes the same records.
    ///
    /// Later puts use it; output in the buffer is not encoded again. For a filter that takes other records see
    /// [`retype`](Self::retype).
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, filter::{Block, Line}, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(()).on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// let wheel = ReadWrite::builder(io).output(Line::bytes()).start(cx)?;
    /// wheel.put("blocks from now on")?;
    /// wheel.set_output_filter(Block::new())?;
    /// wheel.put("a block\n")?;
    /// assert!(wheel.set_output_filter(Line::bytes().literal("")).is_err()); // the old one stays
    /// wheel.put("another")?;
    /// # wheel.flush();
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "blocks from now on\r\n8\0a block\n7\0another");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn set_output_filter<F: Filter<Output = O>>(&self, filter: F) -> Result<(), FilterError> {
        self.change_output(filter)
    }

    /// Changes both filters for another protocol that puts the same records; see [`set_input_filter`](Self::set_input_filter).
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # const LINE: Event<Input<Bytes>> = Event::new("line");
    /// const BLOCK: Event<Input<Bytes>> = Event::new("block");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"BLOCKS\r\n5\0hello").await?;
    /// # Session::builder(None::<ReadWrite<Bytes>>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::bytes(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"BLOCKS\r\n5\0hello" in one piece.
    ///     .on(LINE, |cx, _blocks| -> poe::HandlerResult {
    ///         if let Some(wheel) = &*cx.heap {
    ///             wheel.set_filter(Block::new(), BLOCK)?;
    ///             wheel.put("blocks it is")?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(BLOCK, |cx, input| {
    ///         assert_eq!(input.record, "hello");
    ///         cx.heap.take().map_or((), |wheel| wheel.close(Duration::ZERO))
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut answer = String::new();
    /// # peer.read_to_string(&mut answer).await?;
    /// assert_eq!(answer, "12\0blocks it is");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn set_filter<F: Filter<Output = O>>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        self.change_both(filter, event)
    }
}

impl AnyReadWrite {
    /// Changes the output filter for any other; output in the buffer is not encoded again.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    pub fn set_output_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        self.change_output(filter)
    }

    /// Changes both filters for those of another protocol.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    pub fn set_filter<F: Filter>(&self, filter: F, event: impl Posts<Input<F::Input>>) -> Result<(), FilterError> {
        self.change_both(filter, event)
    }

    /// Like [`set_filter`](Self::set_filter), for an event that takes the bare record.
    pub(crate) fn set_bare_filter<F: Filter>(&self, filter: F, event: impl Posts<F::Input>) -> Result<(), FilterError> {
        let output = filter.fresh();
        self.change_input(TypedParser::bare(filter, event))?;
        self.change_output(output)
    }
}

/// The old wheel, when [`ReadWrite::retype`] could not change its filter.
pub struct RetypeError<O: ?Sized = String> {
    wheel: ReadWrite<O>,
    error: FilterError,
}

impl<O: ?Sized> RetypeError<O> {
    /// Returns the wheel, with its old filter.
    pub fn into_wheel(self) -> ReadWrite<O> {
        self.wheel
    }

    /// Returns the problem of the new filter.
    #[must_use]
    pub fn filter_error(&self) -> &FilterError {
        &self.error
    }
}

debug_fields!([O: ?Sized] RetypeError<O>, "RetypeError", |this| { error: this.error, .. });

impl<O: ?Sized> fmt::Display for RetypeError<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot change the output filter of ReadWrite {}: {}",
            self.wheel.id(),
            self.error
        )
    }
}

impl<O: ?Sized> From<RetypeError<O>> for Failure {
    fn from(error: RetypeError<O>) -> Self {
        Failure::from(error.error)
    }
}

impl<O: ?Sized> ReadWrite<O> {
    /// Changes the output filter for one that takes other records.
    ///
    /// The wheel that is returned is the same one: its ID, events, input filter, pending input and output buffer stay. Change the input filter with [`set_input_filter`](Self::set_input_filter) before or after.
    ///
    /// # Errors
    /// The wheel, if the settings of the filter are invalid.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line, Raw}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// const BYTES: Event<Input<Bytes>> = Event::new("bytes");
    ///
    /// /// A connection uses lines, until the peer sends `BYTES`.
    /// enum Talk { Lines(ReadWrite), Bytes(ReadWrite<Bytes>), Over }
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"BYTES\r\nhello").await?;
    /// # Session::builder(Talk::Over)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Talk::Lines(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    ///     .on(LINE, |cx, _bytes| -> poe::HandlerResult {
    ///         if let Talk::Lines(wheel) = std::mem::replace(&mut *cx.heap, Talk::Over) {
    ///             wheel.set_input_filter(Raw::new(), BYTES)?;
    ///             *cx.heap = Talk::Bytes(wheel.retype(Raw::new())?);
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(BYTES, |cx, input| -> poe::HandlerResult {
    ///         if let Talk::Bytes(wheel) = std::mem::replace(&mut *cx.heap, Talk::Over) {
    ///             wheel.put(input.record)?;
    ///             wheel.close(Duration::ZERO);
    ///         }
    ///         Ok(())
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut reply = String::new();
    /// # peer.read_to_string(&mut reply).await?;
    /// # assert_eq!(reply, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn retype<F: Filter>(self, filter: F) -> Result<ReadWrite<F::Output>, RetypeError<O>> {
        match self.change_output(filter) {
            Ok(()) => Ok(ReadWrite::of(self.owner)),
            Err(error) => Err(RetypeError { wheel: self, error }),
        }
    }

    fn change_output<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        self.state().set_formatter(Box::new(TypedFormatter(filter)));
        Ok(())
    }

    fn change_both<F: Filter>(&self, filter: F, event: impl Posts<Input<F::Input>>) -> Result<(), FilterError> {
        let output = filter.fresh();
        self.set_input_filter(filter, event)?;
        self.change_output(output)
    }

    fn change_input<F: Filter>(&self, parser: TypedParser<F>) -> Result<(), FilterError> {
        parser.check()?;
        let old = self.state().set_parser(Box::new(parser));
        drop(old);
        self.state().schedule();
        Ok(())
    }

    /// Changes the input filter, and the event with it, since its records may have another type.
    ///
    /// Bytes that the old filter has not used move to the new one; records in them come directly after the current
    /// handler, ahead of further input.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// # use bytes::Bytes;
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// const BODY: Event<Input<Bytes>> = Event::new("body");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"LENGTH 6\r\na\nbody").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"LENGTH 6\r\na\nbody" in one piece.
    ///     .on(LINE, |cx, input| -> poe::HandlerResult {
    ///         let length = input.record.trim_start_matches("LENGTH ").parse()?;
    ///         if let Some(wheel) = &*cx.heap {
    ///             wheel.set_input_filter(Block::fixed(length), BODY)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(BODY, |cx, input| {
    ///         assert_eq!(input.record, "a\nbody");
    ///         *cx.heap = None;
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn set_input_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        self.change_input(TypedParser::new(filter, event))
    }

    /// Changes the event for records, with the present filter; `None::<Event<_>>` stops reading.
    ///
    /// The filter's pending bytes wait until an event is set again. A pause stays a pause (in POE it ends).
    ///
    /// # Errors
    /// The wheel has no input filter, or its records have another type; nothing is changed then.
    #[doc(alias = "event")]
    pub fn set_input_event<T: 'static, K: Posts<Input<T>>>(&self, event: Option<K>) -> Result<(), Error> {
        match event {
            None => self.state().set_listens(false),
            Some(event) => {
                let (event, record) = (HeldName::new(event.key()), TypeId::of::<T>());
                match self.state().with_parser(|parser| parser.set_event(event, record)) {
                    Some(true) => self.state().set_listens(true),
                    Some(false) => {
                        let what = format!("the wheel's input filter does not yield `{}`", type_name::<T>());
                        return Err(ErrorKind::Invalid(what).into());
                    }
                    None => {
                        let what = "the wheel has no input filter, or it is in use further up the stack";
                        return Err(ErrorKind::Invalid(what.to_owned()).into());
                    }
                }
            }
        }
        self.state().schedule();
        Ok(())
    }

    /// Calls `f` with the input filter, to change its settings or to look at pending bytes.
    ///
    /// `None` if it has another type, or is in use further up the stack. Records that it sees afterwards come directly after the
    /// current handler.
    #[doc(alias = "get_input_filter")]
    pub fn with_input_filter<F: Filter, T>(&self, f: impl FnOnce(&mut F) -> T) -> Option<T> {
        let result = self
            .state()
            .with_parser(|parser| parser.filter()?.downcast_mut().map(f))
            .flatten();
        self.state().note_reparse();
        self.state().schedule();
        result
    }

    /// Calls `f` with the output filter; see [`with_input_filter`](Self::with_input_filter).
    #[doc(alias = "get_output_filter")]
    pub fn with_output_filter<F: Filter, T>(&self, f: impl FnOnce(&mut F) -> T) -> Option<T> {
        self.state()
            .with_formatter(|formatter| formatter.filter().downcast_mut().map(f))
            .flatten()
    }

    /// Copies the bytes of which the input filter has made no record: after the end of input, the rest.
    #[doc(alias = "get_input_filter")]
    #[doc(alias = "get_pending")]
    #[must_use]
    pub fn input_pending(&self) -> Bytes {
        self.state()
            .with_parser(|parser| Bytes::copy_from_slice(parser.pending()))
            .unwrap_or_default()
    }
}
