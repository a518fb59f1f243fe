//! The records that the filter yields, with refused requests and their error pages, and the limits that it reads within.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use poe::filter::FilterError;

/// The most bytes of a client's input that an error page shows.
const SHOWN: usize = 200;

/// A record that [`Httpd`](crate::Httpd) yields.
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use poe_http::Incoming;
/// fn reply(incoming: Incoming) -> Option<Response<Bytes>> {
///     match incoming {
///         Incoming::Request(request) => Some(Response::new(request.into_body())),
///         Incoming::Expect(go_on) => Some(go_on),
///         Incoming::Refused(refused) => Some(refused.response),
///         Incoming::Chunk(_) | Incoming::End => None,
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Incoming {
    /// A request, with its body unless the filter streams.
    Request(Request<Bytes>),
    /// The client waits for this response (`100 Continue`) before it sends a body.
    ///
    /// Put it, or read on: a client that gets no response sends the body after a while.
    Expect(Response<Bytes>),
    /// With streaming: a piece of the body, as it came.
    Chunk(Bytes),
    /// With streaming: the end of a body.
    End,
    /// A request that is not accepted.
    Refused(Box<Refused>),
}

/// A request that the filter does not accept, with the error response to put.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused {
    /// An error page; with `Connection: close` if this is the last response.
    pub response: Response<Bytes>,
    /// The request, without its body, as far as it could be read.
    pub request: Option<Request<Bytes>>,
    last: bool,
}

impl Refused {
    /// Whether the filter cannot know where another request would begin.
    ///
    /// It ignores all further input; close the connection once the response is written.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Makes a refusal after which nothing can be read.
    pub(crate) fn last(status: StatusCode, why: &str) -> Box<Self> {
        let mut refused = Self::new(status, why);
        refused.last = true;
        let headers = refused.response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        refused
    }

    /// Makes a refusal after which the next request can be read.
    pub(crate) fn new(status: StatusCode, why: &str) -> Box<Self> {
        let title = format!(
            "Error {}: {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or("Error")
        );
        let why = escaped(why);
        let page = format!("<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{why}</p></body></html>");
        let mut response = Response::new(Bytes::from(page));
        *response.status_mut() = status;
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, html);
        Box::new(Refused {
            response,
            request: None,
            last: false,
        })
    }

    pub(crate) fn with_request(mut self: Box<Self>, request: Request<Bytes>) -> Box<Self> {
        self.request = Some(request);
        self
    }
}

/// Escapes a client's bytes, which must not become markup in the page that shows them.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(SHOWN) {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The limits of an [`Httpd`](crate::Httpd) filter.
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
    pub(crate) fn buffer(&self) -> usize {
        let parts = [self.max_head, self.max_framing, self.max_trailers];
        let request = parts.into_iter().fold(self.max_content, usize::saturating_add);
        self.max_buffer
            .unwrap_or(request.saturating_mul(2).max(16 * 1024 * 1024))
    }

    pub(crate) fn check(&self) -> Result<(), FilterError> {
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
