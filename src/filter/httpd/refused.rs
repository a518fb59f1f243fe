//! A refused request, and its error page.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};

/// The most bytes of a client's input that an error page shows.
const SHOWN: usize = 200;

/// A request that the filter does not accept, with the error response to put.
#[derive(Debug)]
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
    pub(super) fn last(status: StatusCode, why: &str) -> Box<Self> {
        let mut refused = Self::new(status, why);
        refused.last = true;
        let headers = refused.response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        refused
    }

    /// Makes a refusal after which the next request can be read.
    pub(super) fn new(status: StatusCode, why: &str) -> Box<Self> {
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

    pub(super) fn with_request(mut self: Box<Self>, request: Request<Bytes>) -> Box<Self> {
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
