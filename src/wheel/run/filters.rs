//! The filters of a Run's streams.

use super::Run;
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::wheel::pump::{Input, PumpState, TypedFormatter, TypedParser};
use bytes::{Bytes, BytesMut};

impl Run {
    /// Changes the filter of standard input, for later puts.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    pub fn set_stdin_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        if let Some(stdio) = &self.stdio {
            stdio.set_formatter(Box::new(TypedFormatter(filter)));
        }
        Ok(())
    }

    /// Changes the filter of standard output, and the event with it.
    ///
    /// Bytes that the old filter has not used move to the
    /// new one; records in them come directly after the current handler. Unlike in POE, nothing is lost and nothing
    /// comes twice.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then. An output that is not the wheel's is skipped.
    #[doc(alias = "event")]
    pub fn set_stdout_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        set_filter(self.stdio.as_deref().filter(|stdio| stdio.has_parser()), filter, event)
    }

    /// Changes the filter of standard error; see [`set_stdout_filter`](Self::set_stdout_filter).
    ///
    /// # Errors
    /// As [`set_stdout_filter`](Self::set_stdout_filter).
    #[doc(alias = "event")]
    pub fn set_stderr_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        set_filter(self.stderr.as_deref(), filter, event)
    }

    /// Changes the filters of standard input and output to one protocol.
    ///
    /// # Errors
    /// As [`set_stdout_filter`](Self::set_stdout_filter).
    pub fn set_stdio_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        let input = filter.fresh();
        self.set_stdout_filter(filter, event)?;
        self.set_stdin_filter(input)
    }

    /// Reads standard output and drops it, until [`set_stdout_filter`](Self::set_stdout_filter); its end is still reported.
    #[doc(alias = "event")]
    pub fn discard_stdout(&self) {
        let _: Result<(), FilterError> = self.set_stdout_filter(Discard, "");
    }

    /// Reads standard error and drops it; see [`discard_stdout`](Self::discard_stdout).
    #[doc(alias = "event")]
    pub fn discard_stderr(&self) {
        let _: Result<(), FilterError> = self.set_stderr_filter(Discard, "");
    }

    /// Copies the bytes of standard output of which its filter has made no record.
    #[doc(alias = "get_stdout_filter")]
    #[must_use]
    pub fn stdout_pending(&self) -> Bytes {
        pending(self.stdio.as_deref())
    }

    /// Copies the bytes of standard error of which its filter has made no record.
    #[doc(alias = "get_stderr_filter")]
    #[must_use]
    pub fn stderr_pending(&self) -> Bytes {
        pending(self.stderr.as_deref())
    }
}

fn set_filter<F: Filter>(
    state: Option<&PumpState>,
    filter: F,
    event: impl Posts<Input<F::Input>>,
) -> Result<(), FilterError> {
    filter.check()?;
    if let Some(state) = state {
        drop(state.set_parser(Box::new(TypedParser::new(filter, event))));
        state.schedule();
    }
    Ok(())
}

fn pending(state: Option<&PumpState>) -> Bytes {
    state
        .and_then(|state| state.with_parser(|parser| Bytes::copy_from_slice(parser.pending())))
        .unwrap_or_default()
}

/// The filter of a discarded output.
struct Discard;

impl Filter for Discard {
    type Input = ();
    type Output = ();
    fn feed(&mut self, _: &[u8]) {}
    fn next_record(&mut self) -> Result<Option<()>, FilterError> {
        Ok(None)
    }
    fn put(&mut self, (): (), _: &mut BytesMut) -> Result<(), FilterError> {
        Ok(())
    }
    fn pending(&self) -> &[u8] {
        &[]
    }
    fn take_pending(&mut self) -> Bytes {
        Bytes::new()
    }
    fn fresh(&self) -> Self {
        Discard
    }
}
