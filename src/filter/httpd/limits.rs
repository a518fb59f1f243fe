//! The limits of the parts of a request.

use super::super::FilterError;

/// The limits of an [`Httpd`](super::Httpd) filter.
///
/// A request that exceeds one is refused with the status that is given here. Only more input than may wait is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpdLimits {
    /// The largest body in bytes; default 1 MiB, status 413. Ignored when streaming.
    pub max_content: usize,
    /// The largest head in bytes; default 64 KiB, status 431.
    pub max_head: usize,
    /// The most headers; default 100, status 431.
    pub max_headers: usize,
    /// The longest line with a chunk's size in bytes, with extensions and newline; default 256, status 400.
    pub max_chunk_line: usize,
    /// The largest trailers of a chunked body in bytes; default 8 KiB, status 400.
    pub max_trailers: usize,
    /// The most framing bytes around the chunks of a body; default 1 MiB, status 413. Ignored when streaming.
    ///
    /// A body stays in the buffer as it came until it is complete, and a chunk of one byte takes six.
    pub max_framing: usize,
    /// The most bytes that may wait to be parsed; more is a fatal error.
    ///
    /// `None`, the default, is 16 MiB, or twice the largest request if that is more.
    pub max_buffer: Option<usize>,
}

impl Default for HttpdLimits {
    fn default() -> Self {
        HttpdLimits {
            max_content: 1024 * 1024,
            max_head: 64 * 1024,
            max_headers: 100,
            max_chunk_line: 256,
            max_trailers: 8 * 1024,
            max_framing: 1024 * 1024,
            max_buffer: None,
        }
    }
}

impl HttpdLimits {
    /// Returns the limit of the buffer, given or derived.
    pub(super) fn buffer(&self) -> usize {
        let parts = [self.max_head, self.max_framing, self.max_trailers];
        let request = parts.into_iter().fold(self.max_content, usize::saturating_add);
        self.max_buffer
            .unwrap_or(request.saturating_mul(2).max(16 * 1024 * 1024))
    }

    pub(super) fn check(&self) -> Result<(), FilterError> {
        let limits = [
            self.max_content,
            self.max_head,
            self.max_headers,
            self.max_chunk_line,
            self.max_trailers,
            self.max_framing,
            self.buffer(),
        ];
        if limits.contains(&0) {
            return Err(FilterError::invalid_setting("a limit must be at least one"));
        }
        let digits = self.max_content.checked_ilog10().unwrap_or(0) as usize + 1;
        if self.buffer() < self.max_content.saturating_add(digits + 1) {
            return Err(FilterError::invalid_setting(
                "the buffer's limit must be larger than that of the content",
            ));
        }
        Ok(())
    }
}
