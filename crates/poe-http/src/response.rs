//! Encodes responses.

use crate::chunks::{Chunks, Piece};
use crate::incoming::HttpdLimits;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use poe::filter::FilterError;

/// Replaces the usual reason phrase, in a response's extensions: `404 Nope`.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use http::{HeaderValue, Response};
/// use poe::filter::Filter;
/// use poe_http::{Httpd, Reason};
/// let mut response = Response::builder().status(404).body(Bytes::new()).unwrap();
/// response.extensions_mut().insert(Reason(HeaderValue::from_static("Nope")));
/// let mut out = BytesMut::new();
/// Httpd::new().put(response, &mut out).unwrap();
/// assert!(out.starts_with(b"HTTP/1.1 404 Nope\r\n"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "message")]
pub struct Reason(pub HeaderValue);

/// Whether a connection stays open after this request, by its version and its `Connection` header.
///
/// If not, shut the connection down once the response is put.
#[must_use]
pub fn keeps_alive<T>(request: &Request<T>) -> bool {
    if request.version() >= Version::HTTP_11 && !request.headers().contains_key(CONNECTION) {
        return true;
    }
    let says = |token: &str| {
        let values = request.headers().get_all(CONNECTION).into_iter();
        let mut tokens = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        tokens.any(|said| said.trim().eq_ignore_ascii_case(token))
    };
    match request.version() {
        Version::HTTP_09 => false,
        Version::HTTP_10 => says("keep-alive") && !says("close"),
        _ => !says("close"),
    }
}

pub(crate) fn write(response: &Response<Bytes>, out: &mut BytesMut) -> Result<(), FilterError> {
    let (status, headers, body) = (response.status(), response.headers(), response.body());
    let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if bodiless && !body.is_empty() {
        return Err(FilterError::custom("a response with this status has no body"));
    }
    let old = response.version() <= Version::HTTP_10;
    // One pass over the headers costs less than two lookups.
    let (mut size, mut said, mut coded) = (body.len() + 96, None, None);
    for (name, value) in headers {
        size += name.as_str().len() + value.len() + 4;
        if name == CONTENT_LENGTH && said.replace(value).is_some() {
            return refused("the response has more than one Content-Length");
        }
        if name == TRANSFER_ENCODING && coded.replace(value).is_some() {
            return refused("the response has more than one Transfer-Encoding");
        }
    }
    // A response that two readers could understand differently is refused, as on input: where one reader ends this response,
    // the other would see the next.
    if let Some(said) = said {
        if coded.is_some() {
            return refused("the response has both Content-Length and Transfer-Encoding");
        }
        let Some(length) = number(said.as_bytes()) else {
            return refused("the response's Content-Length is not a number");
        };
        if !body.is_empty() && length != body.len() as u64 {
            return refused("the response's Content-Length is not the length of its body");
        }
        if length > 0 && (status.is_informational() || status == StatusCode::NO_CONTENT) {
            return refused("a response with this status has no Content-Length");
        }
    }
    if let Some(coded) = coded {
        if !coded.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return refused("the only transfer coding allowed in responses is chunked");
        }
        if old {
            return refused("this version of HTTP has no Transfer-Encoding");
        }
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            return refused("a response with this status has no Transfer-Encoding");
        }
        if !body.is_empty() && !is_chunked(body) {
            return refused("the response's body is not in chunks, though its Transfer-Encoding says so");
        }
    }

    out.reserve(size);
    match response.extensions().get::<Reason>() {
        None if status == StatusCode::OK && !old => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        reason => {
            out.extend_from_slice(if old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
            out.extend_from_slice(status.as_str().as_bytes());
            out.extend_from_slice(b" ");
            out.extend_from_slice(match reason {
                Some(Reason(reason)) => reason.as_bytes(),
                None => status.canonical_reason().unwrap_or("Unknown Error").as_bytes(),
            });
            out.extend_from_slice(b"\r\n");
        }
    }
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if said.is_none() && !bodiless && coded.is_none() {
        out.extend_from_slice(b"content-length: ");
        put_decimal(body.len(), out);
        out.extend_from_slice(b"\r\n\r\n");
    } else {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(body);
    Ok(())
}

fn refused(why: &'static str) -> Result<(), FilterError> {
    Err(FilterError::custom(why))
}

/// Parses digits only: no sign, no blanks, no list.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a body consists of complete chunks, with nothing after the last.
fn is_chunked(mut body: &[u8]) -> bool {
    let (mut chunks, limits) = (Chunks::Size, HttpdLimits::default());
    loop {
        match chunks.next(body, &limits) {
            Ok(Piece::Framing(size, _) | Piece::Data(size)) => body = &body[size..],
            Ok(Piece::End(size)) => return size == body.len(),
            Ok(Piece::More) | Err(_) => return false,
        }
    }
}

/// Writes a number in decimal digits.
fn put_decimal(mut number: usize, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // The remainder of ten is a digit.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
