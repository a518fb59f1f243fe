//! Redirections: what the next request is.

use crate::body::Body;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
};
use http::{Method, Request, Response, StatusCode, Uri, request};

/// Returns the next request, if the response is a redirection that can be followed.
///
/// 301, 302 and 303 make a GET of a POST, as browsers do; 307 and 308 send the request again, if its body is bytes.
pub(super) fn next<B>(response: &Response<B>, parts: &request::Parts, body: Option<&Body>) -> Option<Request<Body>> {
    let (keeps, status) = match response.status() {
        status @ (StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER) => (false, status),
        status @ (StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) => (true, status),
        _ => return None,
    };
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let uri = join(&parts.uri, location)?;
    let mut headers = parts.headers.clone();
    // It is made anew for each host.
    headers.remove(HOST);
    if uri.authority() != parts.uri.authority() || uri.scheme() != parts.uri.scheme() {
        for secret in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            headers.remove(secret);
        }
    }
    let changes = !keeps
        && match status {
            StatusCode::SEE_OTHER => parts.method != Method::HEAD,
            _ => parts.method == Method::POST,
        };
    let (method, body) = match changes {
        true => {
            for of_body in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, TRANSFER_ENCODING] {
                headers.remove(of_body);
            }
            (Method::GET, Body::empty())
        }
        false => (parts.method.clone(), body?.try_clone()?),
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some(request)
}

/// Resolves a reference (RFC 3986, section 5.2).
fn join(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    if reference.starts_with("http://") || reference.starts_with("https://") {
        return reference.parse().ok();
    }
    if let Some(rest) = reference.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    let has_scheme = reference
        .split(['/', '?'])
        .next()
        .is_some_and(|first| first.contains(':'));
    if has_scheme {
        return None;
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let (path, query) = match path {
        "" => (base.path().to_owned(), query.or(base.query())),
        absolute if absolute.starts_with('/') => (without_dots(absolute), query),
        relative => {
            let folder = &base.path()[..=base.path().rfind('/').unwrap_or(0)];
            (without_dots(&format!("{folder}{relative}")), query)
        }
    };
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("{scheme}://{authority}{path}{query}").parse().ok()
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let all: Vec<_> = path.split('/').skip(1).collect();
    for (at, part) in all.iter().enumerate() {
        let is_last = at + 1 == all.len();
        match *part {
            "." => {}
            ".." => drop(parts.pop()),
            part => {
                parts.push(part);
                continue;
            }
        }
        if is_last {
            parts.push("");
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3986, section 5.4, as far as HTTP has it.
    #[test]
    fn references_are_resolved() {
        let base: Uri = "http://a/b/c/d;p?q".parse().unwrap();
        for (reference, resolved) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g#s", "http://a/b/c/g"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("https://x/y", "https://x/y"),
        ] {
            assert_eq!(join(&base, reference).unwrap().to_string(), resolved, "{reference}");
        }
        assert!(join(&base, "mailto:me").is_none());
        assert!(join(&base, "file:///etc/passwd").is_none());
    }

    fn redirected(status: u16, method: Method, to: &str) -> Option<Request<Body>> {
        let request = Request::builder()
            .method(method)
            .uri("https://a/x")
            .header("authorization", "secret")
            .header("content-type", "text/plain")
            .header("x", "y");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let response = Response::builder()
            .status(status)
            .header("location", to)
            .body(())
            .unwrap();
        next(&response, &parts, Some(&Body::from("text")))
    }

    #[test]
    fn methods_and_secrets_follow_as_they_should() {
        for status in [301, 302, 303] {
            let next = redirected(status, Method::POST, "/y").unwrap();
            assert_eq!(next.method(), Method::GET);
            assert!(!next.headers().contains_key("content-type"));
            assert_eq!(next.headers()["authorization"], "secret");
        }
        assert_eq!(redirected(301, Method::PUT, "/y").unwrap().method(), Method::PUT);
        assert_eq!(redirected(303, Method::PUT, "/y").unwrap().method(), Method::GET);
        assert_eq!(redirected(307, Method::POST, "/y").unwrap().method(), Method::POST);
        for elsewhere in ["https://b/y", "http://a/y", "https://a:8443/y"] {
            let next = redirected(307, Method::POST, elsewhere).unwrap();
            assert!(!next.headers().contains_key("authorization"), "{elsewhere}");
            assert_eq!(next.headers()["x"], "y");
        }
        assert!(redirected(304, Method::GET, "/y").is_none());
    }
}
