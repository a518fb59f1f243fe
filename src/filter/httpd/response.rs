//! Responses as octets.

use super::super::FilterError;
use super::super::block::put_decimal;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Version};

/// Another reason than the usual one, in a response's extensions: `404 Nope`.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use http::{HeaderValue, Response};
/// use poe::filter::{Filter, httpd::{Httpd, Reason}};
/// let mut response = Response::builder().status(404).body(Bytes::new()).unwrap();
/// response.extensions_mut().insert(Reason(HeaderValue::from_static("Nope")));
/// let mut out = BytesMut::new();
/// Httpd::new().put(response, &mut out).unwrap();
/// assert!(out.starts_with(b"HTTP/1.1 404 Nope\r\n"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "message")]
pub struct Reason(pub HeaderValue);

/// Whether a connection goes on after this request, by its version and its `Connection` header. If not, shut the
/// connection down once the response is put.
///
/// ```
/// use http::{Request, Version};
/// let request = Request::builder().version(Version::HTTP_10).body(()).unwrap();
/// assert!(!poe::filter::httpd::keeps_alive(&request));
/// ```
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

pub(super) fn write(response: &Response<Bytes>, out: &mut BytesMut) -> Result<(), FilterError> {
    let (status, headers, body) = (response.status(), response.headers(), response.body());
    let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if bodiless && !body.is_empty() {
        return Err(FilterError::custom("a response with this status has no body"));
    }
    // One walk over the headers costs less than looking two of them up.
    let (mut size, mut said, mut coded) = (body.len() + 96, None, false);
    for (name, value) in headers {
        size += name.as_str().len() + value.len() + 4;
        if name == CONTENT_LENGTH {
            said = said.or(Some(value));
        }
        coded |= name == TRANSFER_ENCODING;
    }
    if let Some(said) = said
        && !body.is_empty()
        && said.to_str().ok().and_then(|said| said.parse().ok()) != Some(body.len())
    {
        // The client would take the rest of the body for the next response.
        return Err(FilterError::custom(
            "the response's Content-Length is not that of its body",
        ));
    }

    out.reserve(size);
    let old = response.version() <= Version::HTTP_10;
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
    if said.is_none() && !bodiless && !coded {
        out.extend_from_slice(b"content-length: ");
        put_decimal(body.len(), out);
        out.extend_from_slice(b"\r\n\r\n");
    } else {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(body);
    Ok(())
}
