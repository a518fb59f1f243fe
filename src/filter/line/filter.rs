//! Implements [`Filter`] for Line.

use super::search::Found;
use super::terminator::Terminator;
use super::{Line, LineRecord};
use crate::filter::{Filter, FilterError};
use bytes::{Bytes, BytesMut};

impl<T: LineRecord> Filter for Line<T> {
    type Input = T;
    type Output = T;

    fn feed(&mut self, mut bytes: &[u8]) {
        if let (Some(second), Some((&next, rest))) = (self.owed, bytes.split_first()) {
            self.owed = None;
            if next == second {
                bytes = rest;
                if let (Terminator::Autodetect, &Terminator::One(first)) = (&self.setting, &self.terminator) {
                    self.terminator = Terminator::Two([first, second]);
                }
            }
        }
        if self.overflowed {
            return;
        }
        let room = self.max_buffer.saturating_sub(self.buffer.len());
        if bytes.len() > room {
            self.overflowed = true;
            bytes = &bytes[..room];
        }
        self.buffer.append(bytes);
    }

    fn next_record(&mut self) -> Result<Option<T>, FilterError> {
        self.check()?;
        loop {
            match self.find() {
                Found::Line { rest, .. } if self.discarding => {
                    self.discarding = false;
                    self.scanned = 0;
                    self.buffer.consume(rest);
                }
                Found::Line { line, rest } => {
                    let record = if line > self.limits.max_length {
                        Err(FilterError::too_long(
                            self.limits.max_length,
                            self.buffer.copy_front(self.limits.max_length),
                        ))
                    } else if T::IS_TEXT
                        && let Some(text) = self.buffer.front_text(line)
                    {
                        Ok(Some(T::from_text(text)))
                    } else {
                        T::from_line(&self.buffer.as_slice()[..line], self.lossy).map(Some)
                    };
                    self.scanned = 0;
                    self.buffer.consume(rest);
                    return record;
                }
                Found::More { content } if !self.discarding && content > self.limits.max_length => {
                    let head = self.buffer.copy_front(self.limits.max_length);
                    self.discarding = true;
                    self.discard(content);
                    return Err(FilterError::too_long(self.limits.max_length, head));
                }
                Found::More { content } => {
                    if self.discarding {
                        self.discard(content);
                    }
                    if self.overflowed {
                        return Err(FilterError::overflow(self.max_buffer, self.restart()));
                    }
                    self.buffer.release();
                    return Ok(None);
                }
            }
        }
    }

    fn put(&mut self, record: T, out: &mut BytesMut) -> Result<(), FilterError> {
        self.check()?;
        let bytes = record.bytes();
        out.reserve(bytes.len() + self.output.len());
        out.extend_from_slice(bytes);
        out.extend_from_slice(&self.output);
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        self.buffer.as_slice()
    }

    fn take_pending(&mut self) -> Bytes {
        self.overflowed = false;
        self.restart()
    }

    fn owed(&self) -> Option<u8> {
        self.owed
    }

    fn fresh(&self) -> Self {
        Line {
            setting: self.setting.clone(),
            terminator: self.setting.clone(),
            output: self.output.clone(),
            limits: self.limits,
            max_buffer: self.max_buffer,
            lossy: self.lossy,
            fault: self.fault,
            ..Self::with_defaults()
        }
    }

    fn check(&self) -> Result<(), FilterError> {
        self.fault
            .map_or(Ok(()), |what| Err(FilterError::invalid_setting(what)))
    }
}

impl<T: LineRecord> Line<T> {
    /// Empties the filter as if the stream began here; the detected newline stays.
    fn restart(&mut self) -> Bytes {
        if self.owed.take().is_some() && matches!(self.setting, Terminator::Autodetect) {
            // Half a newline is not certain enough to be kept.
            self.terminator = Terminator::Autodetect;
        }
        self.scanned = 0;
        self.search = None;
        self.discarding = false;
        self.buffer.take()
    }
}
