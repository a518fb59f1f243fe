//! A request's target: what is accepted and escaped, as in POE, and what is refused.
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

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{Method, Uri};

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

/// Parses a target.
pub(super) fn parse(target: Bytes, method: &Method) -> Result<Uri, &'static str> {
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
