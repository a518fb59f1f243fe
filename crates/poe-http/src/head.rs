//! A request's head: request line and headers, and the length of the body that they announce.
//!
//! `httparse` reads most heads at once. Heads that it refuses and POE accepts (requests without a version, tabs and
//! runs of blanks in the request line, folded headers) are read by hand once they are complete.
//!
//! A target is accepted and escaped as in POE, or refused:
//!
//! | target | becomes |
//! |---|---|
//! | `/path?query`, `http://host/path?query` | itself, with each byte that is not allowed in a URI as `%XX` |
//! | several slashes at the beginning of a path | one |
//! | `#` and everything after it | nothing: a fragment is only for the client |
//! | `path`, `?query` | `/path`, `/?query` |
//! | `*` | itself |
//! | `host:port` | itself, only with CONNECT |
//! | a colon before the first slash (`a:b/c`), with another method | refused: it may be a scheme or a host |
//! | a byte that is not allowed in a URI, in a host | refused |
//! | a control character | refused |
//!
//! POE escapes the last, too, and keeps paths without a slash and fragments unchanged, which the `http` crate's `Uri` cannot.

use crate::incoming::Refused;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use httparse::{EMPTY_HEADER, Header, Status};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Room for this many headers is on the stack; a higher limit allocates for each head.
const MAX_HEADERS: usize = 100;

/// An accepted head.
pub(crate) struct Head {
    pub(crate) request: Request<Bytes>,
    pub(crate) body: Body,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects: bool,
}

/// How a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is no body.
    None,
    Length(u64),
    Chunked,
}

/// The most bytes that are copied at once for several heads to share: few allocations for pipelined requests, and little memory that a
/// request keeps after the others.
const SHARED: usize = 2048;

/// Reads the head at the front, in one go; `None` when it is not complete, or not of the usual form.
///
/// `shared` is a copy of the front, as far as there is one.
pub(crate) fn parse(bytes: &[u8], shared: &mut Bytes, most: usize) -> Option<(usize, Result<Head, Box<Refused>>)> {
    let mut few = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut many = Vec::new();
    let headers = if most <= MAX_HEADERS {
        &mut few[..most]
    } else {
        many.resize_with(most.min(bytes.len()), MaybeUninit::uninit);
        &mut many[..]
    };
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(Status::Complete(size)) = parsed.parse_with_uninit_headers(bytes, headers) else {
        return None;
    };
    if shared.len() < size {
        *shared = Bytes::copy_from_slice(&bytes[..bytes.len().min(SHARED).max(size)]);
    }
    let version = match parsed.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let target = within(bytes, parsed.path?.as_bytes());
    let built = build(
        bytes,
        shared,
        parsed.method?.as_bytes(),
        target,
        version,
        parsed.headers,
    );
    Some((size, built))
}

/// Returns where the head ends, searched from `from` on, or how far the search came.
pub(crate) fn end(bytes: &[u8], from: usize) -> Result<usize, usize> {
    for newline in memchr::memchr_iter(b'\n', &bytes[from..]) {
        let at = from + newline;
        match &bytes[at + 1..] {
            [b'\n', ..] => return Ok(at + 2),
            [b'\r', b'\n', ..] => return Ok(at + 3),
            [] | [b'\r'] => return Err(at),
            _ => {}
        }
    }
    Err(bytes.len())
}

/// Reads a complete head that [`parse`] refused.
pub(crate) fn parse_odd(head: &[u8], most: usize) -> Result<Head, Box<Refused>> {
    let unfolded = unfold(head);
    if unfolded.len() != head.len()
        && let Some((_, built)) = parse(&unfolded, &mut Bytes::new(), most)
    {
        return built;
    }
    let head = Bytes::from(unfolded);
    let line_end = memchr::memchr(b'\n', &head).unwrap_or(head.len());
    let line = head[..line_end].strip_suffix(b"\r").unwrap_or(&head[..line_end]);
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let (method, target, version, more) = (words.next(), words.next(), words.next(), words.next());
    let (Some(method), Some(target), None) = (method, target, more) else {
        return Err(bad_line(line));
    };
    if line.contains(&b'\r') {
        return Err(bad_line(line));
    }
    let version = match version {
        None => Version::HTTP_09,
        Some(word) => match word.strip_prefix(b"HTTP/") {
            // Not a version: POE does not look at it either.
            None => Version::HTTP_09,
            Some(b"1.0") => Version::HTTP_10,
            Some([b'1', b'.', b'0'..=b'9']) => Version::HTTP_11,
            Some([b'0', b'.', b'0'..=b'9']) => Version::HTTP_09,
            Some([b'2'..=b'9', b'.', b'0'..=b'9']) => {
                let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
                return Err(Refused::last(status, "This server speaks HTTP/1."));
            }
            Some(_) => return Err(bad_line(line)),
        },
    };
    let mut headers = vec![EMPTY_HEADER; most.min(head.len())];
    let headers = match httparse::parse_headers(&head[(line_end + 1).min(head.len())..], &mut headers) {
        Ok(Status::Complete((_, headers))) => headers,
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        _ => return Err(Refused::last(StatusCode::BAD_REQUEST, "The headers cannot be read.")),
    };
    build(&head, &head, method, within(&head, target), version, headers)
}

/// Refuses a head that is longer than the limit.
pub(crate) fn too_large() -> Box<Refused> {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Refused::last(status, "The request's head is too long.")
}

fn bad_line(line: &[u8]) -> Box<Refused> {
    let line = String::from_utf8_lossy(&line[..line.len().min(256)]);
    Refused::last(
        StatusCode::BAD_REQUEST,
        &format!("The request line cannot be read: {line}"),
    )
}

/// Joins each folded header into one line, with one blank.
fn unfold(head: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(head.len());
    let mut left = head;
    let mut first_line = true;
    while let Some(at) = memchr::memchr(b'\n', left) {
        let (line, rest) = left.split_at(at + 1);
        let folded = matches!(rest.first(), Some(b' ' | b'\t')) && !first_line;
        first_line = false;
        if folded {
            let line = &line[..at];
            out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_end());
            out.extend_from_slice(b" ");
            let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            left = &rest[blanks..];
        } else {
            out.extend_from_slice(line);
            left = rest;
        }
    }
    out.extend_from_slice(left);
    out
}

/// Returns the range of a part in the whole.
fn within(whole: &[u8], part: &[u8]) -> Range<usize> {
    let from = part.as_ptr() as usize - whole.as_ptr() as usize;
    from..from + part.len()
}

/// Makes a request from the parsed `bytes`; it shares the memory of `head`, which holds the same bytes.
fn build(
    bytes: &[u8],
    head: &Bytes,
    method: &[u8],
    target: Range<usize>,
    version: Version,
    parsed: &[Header<'_>],
) -> Result<Head, Box<Refused>> {
    let bad = |why: &str| Refused::last(StatusCode::BAD_REQUEST, why);
    let mut request = Request::new(Bytes::new());
    *request.version_mut() = version;
    *request.method_mut() = Method::from_bytes(method).map_err(|_| bad("The method is not a token."))?;

    *request.uri_mut() = parse_target(head.slice(target), request.method()).map_err(bad)?;

    // A map has room for some ten thousand, whatever the limit is.
    let mut headers = HeaderMap::try_with_capacity(parsed.len()).map_err(|_| too_large())?;
    // Most requests have no body, and nothing has to be looked up for them.
    let mut speaks_of_body = false;
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(head.slice(within(bytes, header.value)));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(bad("A header cannot be read."));
        };
        speaks_of_body |= name == CONTENT_LENGTH || name == TRANSFER_ENCODING || name == CONTENT_ENCODING;
        headers.try_append(name, value).map_err(|_| too_large())?;
    }
    *request.headers_mut() = headers;
    if !speaks_of_body {
        return Ok(Head {
            request,
            body: Body::None,
            expects: false,
        });
    }
    match body_of(&request) {
        Ok(body) => {
            let expects = version >= Version::HTTP_11
                && !matches!(body, Body::None | Body::Length(0))
                && request
                    .headers()
                    .get(EXPECT)
                    .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
            Ok(Head { request, body, expects })
        }
        Err(refused) => Err(refused.with_request(request)),
    }
}

/// Returns the length of the body that the headers announce.
///
/// A head that two readers could understand differently is refused: an attacker would hide a request in it.
fn body_of(request: &Request<Bytes>) -> Result<Body, Box<Refused>> {
    let bad = |why| Err(Refused::last(StatusCode::BAD_REQUEST, why));
    let headers = request.headers();
    let mut lengths = headers.get_all(CONTENT_LENGTH).into_iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
    match (lengths.next(), codings.next()) {
        (None, None) if headers.contains_key(CONTENT_ENCODING) && request.version() >= Version::HTTP_11 => {
            let status = StatusCode::LENGTH_REQUIRED;
            Err(Refused::last(status, "The body has an encoding, but no length."))
        }
        (None, None) => Ok(Body::None),
        (Some(_), None) if lengths.next().is_some() => bad("The head has more than one Content-Length."),
        (Some(length), None) => {
            let digits = length.as_bytes();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return bad("Content-Length is not a number.");
            }
            // Only digits, so a number that does not fit is too large.
            let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            Ok(Body::Length(number.unwrap_or(u64::MAX)))
        }
        (Some(_), Some(_)) => bad("The head has both Content-Length and Transfer-Encoding."),
        (None, Some(_)) if request.version() < Version::HTTP_11 => {
            bad("This version of HTTP has no Transfer-Encoding.")
        }
        (None, Some(coding)) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none() => {
            Ok(Body::Chunked)
        }
        (None, Some(_)) => {
            let status = StatusCode::NOT_IMPLEMENTED;
            Err(Refused::last(
                status,
                "The only transfer coding that is understood is chunked.",
            ))
        }
    }
}

const NOT_A_URI: &str = "The target is not a URI.";
const WRONG_FORM: &str = "The target is not of the form that the method needs.";

/// Whether a byte stays unescaped in a path or a query: those of RFC 2396 except `[` and `]`, as in Perl's `URI`.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
        || matches!(
            byte,
            b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',' | b'%'
        )
}

static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_plain(byte as u8);
        byte += 1;
    }
    table
};

/// Parses a target, by the table above.
fn parse_target(target: Bytes, method: &Method) -> Result<Uri, &'static str> {
    if *method == Method::CONNECT {
        let uri = Uri::from_maybe_shared(target).map_err(|_| NOT_A_URI)?;
        let is_host_alone = uri.authority().is_some() && uri.scheme().is_none();
        return if is_host_alone { Ok(uri) } else { Err(WRONG_FORM) };
    }
    match &target[..] {
        [b'/', ..] => {
            // Some old clients began all targets with two slashes. The path would be misread as the authority.
            let slashes = target.iter().take_while(|byte| **byte == b'/').count();
            return path(target.slice(slashes - 1..), false).map(Uri::from);
        }
        b"*" => return Ok(Uri::from_static("*")),
        _ => {}
    }
    let until = target.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b':'));
    let Some((scheme, rest)) = until.filter(|at| target[*at] == b':').map(|at| target.split_at(at)) else {
        return path(target, true).map(Uri::from);
    };
    let (Some(host), Some(b'a'..=b'z' | b'A'..=b'Z')) = (rest.strip_prefix(b"://"), scheme.first()) else {
        return Err(WRONG_FORM);
    };
    let length = host
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(host.len());
    let at = scheme.len() + 3 + length;
    let path = path(target.slice(at..), target.get(at) != Some(&b'/'))?;
    let authority = target.slice(scheme.len() + 3..at);
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(&authority[..])
        .path_and_query(path);
    uri.build().map_err(|_| NOT_A_URI)
}

/// Parses a path and a query, and adds a slash in front if there is none.
fn path(target: Bytes, slash: bool) -> Result<PathAndQuery, &'static str> {
    let target = match memchr::memchr(b'#', &target) {
        Some(at) => target.slice(..at),
        None => target,
    };
    let target = if !slash && target.iter().all(|byte| PLAIN[usize::from(*byte)]) {
        target
    } else {
        escaped(&target, slash)?
    };
    PathAndQuery::from_maybe_shared(target).map_err(|_| NOT_A_URI)
}

fn escaped(target: &[u8], slash: bool) -> Result<Bytes, &'static str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = BytesMut::with_capacity(target.len() + 16);
    if slash {
        out.put_u8(b'/');
    }
    for &byte in target {
        if byte.is_ascii_control() {
            return Err("There is a control character in the target.");
        }
        if PLAIN[usize::from(byte)] {
            out.put_u8(byte);
        } else {
            out.put_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    Ok(out.freeze())
}
