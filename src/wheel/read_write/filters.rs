//! The filters of a ReadWrite: changed, lent, and what the input's holds.

use super::ReadWrite;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::name::HeldName;
use crate::wheel::pump::{Input, TypedFormatter, TypedParser};
use bytes::Bytes;
use std::any::{TypeId, type_name};

impl ReadWrite {
    /// Changes the input filter, and the event with it, since its records may be of another type. Bytes that the old
    /// filter has not used move to the new one; the records that it sees in them come directly after the current
    /// handler, ahead of further input.
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
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

    /// Changes the output filter, for later puts; bytes that wait keep the form they have.
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, filter::{Block, Line}, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(()).on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// let wheel = ReadWrite::builder(io).output(Line::new()).start(cx)?;
    /// wheel.put("blocks from now on")?;
    /// wheel.set_output_filter(Block::new())?;
    /// wheel.put("a block\n")?;
    /// assert!(wheel.set_output_filter(Line::new().literal("")).is_err()); // the old one stays
    /// wheel.put("another")?;
    /// # wheel.flush();
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "blocks from now on\r\n8\0a block\n7\0another");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn set_output_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        self.state.set_formatter(Box::new(TypedFormatter(filter)));
        Ok(())
    }

    /// Changes both filters to one protocol; see [`set_input_filter`](Self::set_input_filter).
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// const BLOCK: Event<Input<Bytes>> = Event::new("block");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"BLOCKS\r\n5\0hello").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
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
    pub fn set_filter<F: Filter>(&self, filter: F, event: impl Posts<Input<F::Input>>) -> Result<(), FilterError> {
        let output = filter.fresh();
        self.set_input_filter(filter, event)?;
        self.set_output_filter(output)
    }

    /// Has records come as that event from now on, with the filter that there is; `None::<Event<_>>` stops reading, and
    /// what the filter holds waits for an event to be named again. A pause stays a pause (POE undoes it).
    ///
    /// # Errors
    /// The wheel has no input filter, or its records are not of that type; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// const HEADER: Event<Input<String>> = Event::new("header");
    /// const BODY: Event<Input<String>> = Event::new("body");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"Subject: none\r\n\r\nthe text\r\n").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), HEADER).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"Subject: none\r\n\r\nthe text\r\n" in one piece.
    ///     .on(HEADER, |cx, line| -> poe::HandlerResult {
    ///         match &*cx.heap {
    ///             Some(wheel) if line.record.is_empty() => wheel.set_input_event(Some(BODY))?,
    ///             _ => assert_eq!(line.record, "Subject: none"),
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(BODY, |cx, line| {
    ///         assert_eq!(line.record, "the text");
    ///         *cx.heap = None;
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn set_input_event<T: 'static, K: Posts<Input<T>>>(&self, event: Option<K>) -> Result<(), Error> {
        match event {
            None => self.state.set_listens(false),
            Some(event) => {
                let (event, record) = (HeldName::new(event.key()), TypeId::of::<T>());
                match self.state.with_parser(|parser| parser.set_event(event, record)) {
                    Some(true) => self.state.set_listens(true),
                    Some(false) => {
                        let what = format!("the wheel's input filter does not give `{}`", type_name::<T>());
                        return Err(ErrorKind::Invalid(what).into());
                    }
                    None => {
                        let what = "the wheel has no input filter, or it is at work further up the stack";
                        return Err(ErrorKind::Invalid(what.to_owned()).into());
                    }
                }
            }
        }
        self.state.schedule();
        Ok(())
    }

    /// Lends the input filter to `f`: to change its settings, or to look at what is pending. `None` if it is not of that
    /// type, or is at work further up the stack. The records that it sees afterwards come directly after the current
    /// handler.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Filter, Line, Raw}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"a line\r\nhalf a li").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"a line\r\nhalf a li" in one piece.
    ///     .on(LINE, |cx, _a_line| {
    ///         if let Some(wheel) = cx.heap.take() {
    ///             let waits = wheel.with_input_filter(|line: &mut Line| line.pending().len());
    ///             assert_eq!(waits, Some(9));
    ///             assert!(wheel.with_input_filter(|_: &mut Raw| ()).is_none()); // it is a `Line`
    ///         }
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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

    /// Lends the output filter to `f`, likewise.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, filter::{Line, Raw}, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(()).on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// let wheel = ReadWrite::builder(io).output(Line::new()).start(cx)?;
    /// let changed = wheel.with_output_filter(|line: &mut Line| *line = Line::new().output_literal("\n"));
    /// assert_eq!(changed, Some(()));
    /// assert!(wheel.with_output_filter(|_: &mut Raw| ()).is_none()); // it is a `Line`
    /// wheel.put("hello")?;
    /// # wheel.flush();
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "hello\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "get_output_filter")]
    pub fn with_output_filter<F: Filter, T>(&self, f: impl FnOnce(&mut F) -> T) -> Option<T> {
        self.state
            .with_formatter(|formatter| formatter.filter().downcast_mut().map(f))
            .flatten()
    }

    /// A copy of the bytes that the input filter has not made a record of: after an end of input, what was left.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, IoError, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// # const ERROR: Event<IoError> = Event::new("error");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"a line\r\nhalf a li").await?;
    /// # drop(peer);
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).error(ERROR).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"a line\r\nhalf a li", and no more.
    ///     .on(LINE, |_, input| assert_eq!(input.record, "a line"))
    ///     .on(ERROR, |cx, error| {
    ///         let left = cx.heap.take().map(|wheel| wheel.input_pending()).unwrap_or_default();
    ///         assert!(error.is_eof());
    ///         assert_eq!(left, "half a li");
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "get_input_filter")]
    #[doc(alias = "get_pending")]
    #[must_use]
    pub fn input_pending(&self) -> Bytes {
        self.state
            .with_parser(|parser| Bytes::copy_from_slice(parser.pending()))
            .unwrap_or_default()
    }
}
