//! The web page: one HTML document with its style and script inside.

use crate::reply::{Replied, reply};
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 4] = [
    include_str!("page/base.js"),
    include_str!("page/charts.js"),
    include_str!("page/tree.js"),
    include_str!("page/page.js"),
];
pub(crate) const ICON: &str = include_str!("page/icon.svg");

/// The page, with a policy that lets run nothing but what stands in it.
pub(crate) fn page() -> Replied {
    let nonce = format!(
        "{:016x}{:016x}",
        RandomState::new().build_hasher().finish(),
        RandomState::new().build_hasher().finish()
    );
    let page = HTML
        .replace("/*style*/", STYLE)
        .replace("/*script*/", &SCRIPTS.concat())
        .replace("{nonce}", &nonce);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = reply(StatusCode::OK, "text/html; charset=utf-8", page);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
