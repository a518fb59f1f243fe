//! Who may ask: the checks of a request before anything is looked at.

use crate::host::is_allowed_host;
use crate::state::Server;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, Request, StatusCode};
use subtle::ConstantTimeEq;

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

const fn denied(status: StatusCode, why: &'static str) -> Denied {
    Denied { status, why }
}

/// Checks host, origin and token. `is_own` is a connection over a UNIX socket, whose peer has this user's rights.
pub(crate) fn check<B>(server: &Server, request: &Request<B>, is_own: bool) -> Result<(), Denied> {
    let headers = request.headers();
    let host = one(headers, &HOST)?;
    if !is_own && !host.is_some_and(|host| is_allowed_host(host, &server.settings.hosts)) {
        return Err(denied(
            StatusCode::FORBIDDEN,
            "this host name is not allowed; use the IP address, or allow the name with `allow_host`",
        ));
    }
    check_origin(request, host)?;
    let is_page = request.method() == Method::GET && is_page(request.uri().path());
    match &server.settings.token {
        Some(token) if !is_own && !is_page && !has_token(headers, token) => Err(denied(
            StatusCode::UNAUTHORIZED,
            "a token is needed: `Authorization: Bearer …`",
        )),
        _ => Ok(()),
    }
}

/// The page itself contains nothing of a kernel; it asks for the token.
fn is_page(path: &str) -> bool {
    path == "/" || path == "/favicon.svg"
}

/// A header that may stand there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Denied> {
    const TWICE: Denied = denied(StatusCode::BAD_REQUEST, "a header is malformed or stands there twice");
    let mut values = headers.get_all(name).iter();
    let first = values
        .next()
        .map(|value| value.to_str().map_err(|_| TWICE))
        .transpose()?;
    match values.next() {
        Some(_) => Err(TWICE),
        None => Ok(first),
    }
}

/// Pages of other origins may not ask. There is no CORS, so they could not read a reply, but they could cause one.
fn check_origin<B>(request: &Request<B>, host: Option<&str>) -> Result<(), Denied> {
    const FOREIGN: Denied = denied(StatusCode::FORBIDDEN, "requests of pages from elsewhere are refused");
    let headers = request.headers();
    if let Some(origin) = one(headers, &ORIGIN)? {
        let own = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        if own.is_none() || own != host {
            return Err(FOREIGN);
        }
    }
    let site = one(headers, &HeaderName::from_static("sec-fetch-site"))?;
    let is_link = request.method() == Method::GET && is_page(request.uri().path());
    match site {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if is_link => Ok(()),
        Some(_) => Err(FOREIGN),
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let value = one(headers, &AUTHORIZATION).ok().flatten();
    let given = value.and_then(|value| {
        let (scheme, given) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(given.trim())
    });
    given.is_some_and(|given| is_equal(given, token))
}

/// Compares in a time that does not depend on where they differ.
pub(crate) fn is_equal(given: &str, token: &str) -> bool {
    given.as_bytes().ct_eq(token.as_bytes()).into()
}
