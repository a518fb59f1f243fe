//! The filters of a ReadWrite: changing and accessing them.

use super::ReadWrite;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::name::HeldName;
use crate::wheel::pump::{Input, TypedFormatter, TypedParser};
use bytes::Bytes;
use std::any::{TypeId, type_name};

impl ReadWrite {
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
        filter.check()?;
        let old = self.state.set_parser(Box::new(TypedParser::new(filter, event)));
        drop(old);
        self.state.schedule();
        Ok(())
    }

    /// Changes the output filter, for later puts; buffered output stays as it is.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    pub fn set_output_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        self.state.set_formatter(Box::new(TypedFormatter(filter)));
        Ok(())
    }

    /// Changes both filters to one protocol; see [`set_input_filter`](Self::set_input_filter).
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    pub fn set_filter<F: Filter>(&self, filter: F, event: impl Posts<Input<F::Input>>) -> Result<(), FilterError> {
        let output = filter.fresh();
        self.set_input_filter(filter, event)?;
        self.set_output_filter(output)
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
            None => self.state.set_listens(false),
            Some(event) => {
                let (event, record) = (HeldName::new(event.key()), TypeId::of::<T>());
                match self.state.with_parser(|parser| parser.set_event(event, record)) {
                    Some(true) => self.state.set_listens(true),
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
        self.state.schedule();
        Ok(())
    }

    /// Calls `f` with the input filter, to change its settings or to look at pending bytes.
    ///
    /// `None` if it has another type, or is in use further up the stack. Records that it sees afterwards come directly after the
    /// current handler.
    #[doc(alias = "get_input_filter")]
    pub fn with_input_filter<F: Filter, T>(&self, f: impl FnOnce(&mut F) -> T) -> Option<T> {
        let result = self
            .state
            .with_parser(|parser| parser.filter()?.downcast_mut().map(f))
            .flatten();
        self.state.note_reparse();
        self.state.schedule();
        result
    }

    /// Calls `f` with the output filter; see [`with_input_filter`](Self::with_input_filter).
    #[doc(alias = "get_output_filter")]
    pub fn with_output_filter<F: Filter, T>(&self, f: impl FnOnce(&mut F) -> T) -> Option<T> {
        self.state
            .with_formatter(|formatter| formatter.filter().downcast_mut().map(f))
            .flatten()
    }

    /// Copies the bytes of which the input filter has made no record: after the end of input, the rest.
    #[doc(alias = "get_input_filter")]
    #[doc(alias = "get_pending")]
    #[must_use]
    pub fn input_pending(&self) -> Bytes {
        self.state
            .with_parser(|parser| Bytes::copy_from_slice(parser.pending()))
            .unwrap_or_default()
    }
}
