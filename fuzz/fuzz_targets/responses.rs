//! Responses with any headers and bodies: what is put is one message, and no more, to the strict reader that takes requests.

#![no_main]

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, Version};
use libfuzzer_sys::fuzz_target;
use poe::filter::{Filter, FilterExt};
use poe_http::{Httpd, HttpdLimits, Incoming};

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let mut parts = rest.split(|byte| *byte == b'|');
    let mut response = Response::new(Bytes::copy_from_slice(parts.next().unwrap_or_default()));
    if mode & 1 == 1 {
        *response.version_mut() = Version::HTTP_10;
    }
    for part in parts {
        let Some((&name, value)) = part.split_first() else {
            continue;
        };
        let name = match name % 4 {
            0 => CONTENT_LENGTH,
            1 => TRANSFER_ENCODING,
            _ => HeaderName::from_static("x-other"),
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            response.headers_mut().append(name, value);
        }
    }
    // An empty body with a length answers HEAD; one with chunks is followed by them.
    let empty = response.body().is_empty();
    let mut out = BytesMut::new();
    if Httpd::new().put(response, &mut out).is_err() {
        assert!(out.is_empty());
        return;
    }
    if empty {
        return;
    }
    let line = out
        .windows(2)
        .position(|end| end == b"\r\n")
        .expect("there is a status line");
    let version = if mode & 1 == 1 { "HTTP/1.0" } else { "HTTP/1.1" };
    let request = [format!("POST / {version}").as_bytes(), &out[line..]].concat();
    // How many headers there are is not what this is about.
    let limits = HttpdLimits {
        max_headers: 10_000,
        ..HttpdLimits::default()
    };
    let mut filter = Httpd::new().limits(limits);
    let mut got = filter.get(&request);
    assert_eq!(got.len(), 1, "{}", request.escape_ascii());
    assert!(
        matches!(got.remove(0), Ok(Incoming::Request(_))),
        "{}",
        request.escape_ascii()
    );
    assert!(filter.pending().is_empty());
});
