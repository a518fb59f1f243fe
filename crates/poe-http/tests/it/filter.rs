//! HTTP requests in, responses out: what upstream's `05_filters/03_http.t` promises, the pure part of its regressions
//! (agaran, cfedde, leolo), the quirks that are mended, and the laws of filters.

use crate::filter_kit::{chunks, cuts, memory_is_bounded};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use poe::filter::{Filter, FilterExt, Raw};
use poe_http::{Httpd, HttpdLimits, Incoming, Reason, Refused, keeps_alive};
use proptest::prelude::*;

fn incoming(filter: &mut Httpd, bytes: impl AsRef<[u8]>) -> Vec<Incoming> {
    filter.get(bytes.as_ref()).into_iter().map(Result::unwrap).collect()
}

fn requests(bytes: impl AsRef<[u8]>) -> Vec<Request<Bytes>> {
    let given = incoming(&mut Httpd::new(), bytes).into_iter();
    given.map(request).collect()
}

fn request(incoming: Incoming) -> Request<Bytes> {
    match incoming {
        Incoming::Request(request) => request,
        other => panic!("no request: {other:?}"),
    }
}

fn refused(incoming: Incoming) -> Box<Refused> {
    match incoming {
        Incoming::Refused(refused) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

/// One request that is refused, the last thing that is read.
fn refusal(bytes: impl AsRef<[u8]>) -> Box<Refused> {
    let mut given = incoming(&mut Httpd::new(), bytes);
    assert_eq!(given.len(), 1, "{given:?}");
    refused(given.remove(0))
}

fn put(response: Response<Bytes>) -> String {
    String::from_utf8(crate::filter_kit::put(&mut Httpd::new(), response)).unwrap()
}

fn is(request: &Request<Bytes>, method: &str, uri: &str, version: Version, body: &str) {
    assert_eq!(request.method(), method);
    assert_eq!(request.uri(), uri);
    assert_eq!(request.version(), version);
    assert_eq!(request.body(), body);
}

#[test]
fn simple_requests() {
    let got = requests("GET http://localhost/pie.mhtml\n\n");
    is(&got[0], "GET", "http://localhost/pie.mhtml", Version::HTTP_09, "");

    let got = requests(
        "GET /foo.html HTTP/1.0\nUser-Agent: Wget/1.8.2\nHost: localhost:8080\nAccept: */*\nConnection: Keep-Alive\n\n",
    );
    is(&got[0], "GET", "/foo.html", Version::HTTP_10, "");
    assert_eq!(got[0].headers()["user-agent"], "Wget/1.8.2");
    assert_eq!(got[0].headers()["host"], "localhost:8080");
    assert_eq!(got[0].headers()["accept"], "*/*");
    assert!(keeps_alive(&got[0]));

    let got = requests(
        "POST http://localhost/foo.mhtml HTTP/1.0\nContent-Length: 16\nContent-Type: application/x-www-form-urlencoded\n\nI=like&tasty=pie",
    );
    is(
        &got[0],
        "POST",
        "http://localhost/foo.mhtml",
        Version::HTTP_10,
        "I=like&tasty=pie",
    );
    assert_eq!(got[0].headers()[CONTENT_TYPE], "application/x-www-form-urlencoded");

    is(
        &requests("HEAD /foo HTTP/1.1\r\n\r\n")[0],
        "HEAD",
        "/foo",
        Version::HTTP_11,
        "",
    );
    is(
        &requests("PUT /foo HTTP/1.1\r\n\r\n")[0],
        "PUT",
        "/foo",
        Version::HTTP_11,
        "",
    );
    is(
        &requests("OPTIONS * HTTP/1.0\r\n\r\n")[0],
        "OPTIONS",
        "*",
        Version::HTTP_10,
        "",
    );
}

#[test]
fn without_a_version_it_is_0_9() {
    is(&requests("GET /\n\n")[0], "GET", "/", Version::HTTP_09, "");
    is(
        &requests("GET\t/elephant.gif\n\n")[0],
        "GET",
        "/elephant.gif",
        Version::HTTP_09,
        "",
    );
    is(&requests("ELEPHANT /\n\n")[0], "ELEPHANT", "/", Version::HTTP_09, "");
    is(&requests("GEt /\n\n")[0], "GEt", "/", Version::HTTP_09, "");
    let got = requests("POST / HTTP/0.9\nContent-Length: 2\n\nhi");
    is(&got[0], "POST", "/", Version::HTTP_09, "hi");
}

#[test]
fn slashes_that_begin_a_target_become_one() {
    // agaran: `GET //foo/bar 1.0`, which is no version either.
    is(
        &requests("GET //foo/bar 1.0\r\n\r\n")[0],
        "GET",
        "/foo/bar",
        Version::HTTP_09,
        "",
    );
    is(
        &requests("GET ///a//b HTTP/1.1\r\n\r\n")[0],
        "GET",
        "/a//b",
        Version::HTTP_11,
        "",
    );
    // cfedde
    is(&requests("GET / 1.0\r\n\r\n")[0], "GET", "/", Version::HTTP_09, "");
}

#[test]
fn methods_are_tokens() {
    for method in ["M-SEARCH", "VERSION-CONTROL", "X!#$%&'*+-.^_`|~9"] {
        let got = requests(format!("{method} / HTTP/1.1\r\n\r\n"));
        assert_eq!(got[0].method(), method);
    }
    assert_eq!(refusal("GE(T / HTTP/1.1\r\n\r\n").response.status(), 400);
}

#[test]
fn a_request_in_many_pieces() {
    let bytes = "POST http://localhost:1234/foobar.html HTTP/1.1\r\nContent-Length: 23\r\n\r\nI=like&honey=with+peas!";
    let mut filter = Httpd::new();
    let mut got = Vec::new();
    for piece in bytes.as_bytes().chunks(4) {
        assert!(got.is_empty(), "too early");
        got.extend(incoming(&mut filter, piece));
        if got.is_empty() {
            assert!(bytes.as_bytes().starts_with(filter.pending()) && !filter.pending().is_empty());
        }
    }
    is(
        &request(got.remove(0)),
        "POST",
        "http://localhost:1234/foobar.html",
        Version::HTTP_11,
        "I=like&honey=with+peas!",
    );
    assert!(filter.pending().is_empty() && got.is_empty());
}

#[test]
fn what_trails_a_request() {
    let head = "GET http://localhost:1234/foobar.html HTTP/1.1\r\n\r\n";
    assert_eq!(requests(format!("{head}\r\n  \r\n\n")).len(), 1);
    let mut filter = Httpd::new();
    assert_eq!(incoming(&mut filter, format!("{head}GARBAGE!")).len(), 1);
    assert_eq!(filter.pending(), b"GARBAGE!");
    let mut given = incoming(&mut filter, "\r\n\r\n");
    let refused = refused(given.remove(0));
    assert_eq!(refused.response.status(), StatusCode::BAD_REQUEST);
    assert!(refused.is_last());

    let mut filter = Httpd::new();
    incoming(&mut filter, head);
    assert!(incoming(&mut filter, "\r\n  \r\n\n").is_empty());
    assert!(filter.pending().is_empty());
    assert_eq!(
        requests(format!("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n{head}")).len(),
        2
    );
}

#[test]
fn requests_may_be_pipelined_also_behind_an_empty_body() {
    let bytes = "POST /1 HTTP/1.1\r\nContent-Length: 0\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\ntwoGET /3 HTTP/1.1\r\n\r\nGET /4";
    let got = requests(bytes);
    let paths: Vec<&str> = got.iter().map(|request| request.uri().path()).collect();
    assert_eq!(paths, ["/1", "/2", "/3"]);
    assert_eq!(got[1].body(), "two");
}

#[test]
fn a_long_pipeline_gives_each_request_its_own_head() {
    let mut stream = Vec::new();
    for n in 0..300 {
        let blank = ["", "\r\n", " \n"][n % 3];
        let line = match n % 5 {
            // Of a form that is read by hand, folded, with a body, in chunks, and the usual one.
            0 => format!("GET\t/{n} HTTP/1.1\r\nX-N: {n}\r\n\r\n"),
            1 => format!("GET /{n} HTTP/1.1\r\nX-N:\r\n  {n}\r\n\r\n"),
            2 => format!("POST /{n} HTTP/1.1\r\nX-N: {n}\r\nContent-Length: 4\r\n\r\nbody"),
            3 => format!("PUT /{n} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-N: {n}\r\n\r\n1\r\nb\r\n0\r\n\r\n"),
            _ => format!("GET /{n} HTTP/1.1\r\nX-N: {n}\r\n\r\n"),
        };
        stream.extend_from_slice(format!("{blank}{line}{line}").as_bytes());
    }
    for size in [stream.len(), 5000, 333, 1] {
        let mut filter = Httpd::new();
        let got: Vec<_> = stream
            .chunks(size)
            .flat_map(|chunk| incoming(&mut filter, chunk))
            .map(request)
            .collect();
        assert_eq!(got.len(), 600);
        for (n, request) in got.iter().enumerate() {
            let n = (n / 2).to_string();
            assert_eq!(&request.uri().path()[1..], n);
            assert_eq!(request.headers()["x-n"].to_str().unwrap(), n);
        }
        assert!(filter.pending().is_empty());
    }
}

#[test]
fn the_last_newline_of_a_head_does_not_become_the_bodys_first_byte() {
    let mut filter = Httpd::new();
    assert!(incoming(&mut filter, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r").is_empty());
    is(
        &request(incoming(&mut filter, "\nhi").remove(0)),
        "POST",
        "/",
        Version::HTTP_11,
        "hi",
    );
}

#[test]
fn any_mix_of_newlines_but_a_lone_cr_ends_lines() {
    for bytes in [
        "GET / HTTP/1.1\nA: b\r\n\n",
        "GET / HTTP/1.1\r\nA: b\n\r\n",
        "GET / HTTP/1.1\nA: b\n\n",
    ] {
        assert_eq!(requests(bytes)[0].headers()["a"], "b", "{bytes:?}");
    }
    assert_eq!(refusal("GET /\r HTTP/1.1\r\n\r\n").response.status(), 400);
}

#[test]
fn repeated_headers_are_kept_and_folded_ones_joined() {
    let got = requests("GET / HTTP/1.1\r\nCookie: a\r\nCookie: b\r\nX: one\r\n  two\r\n\tthree\r\nY: z\r\n\r\n");
    let cookies: Vec<_> = got[0].headers().get_all(COOKIE).iter().collect();
    assert_eq!(cookies, ["a", "b"]);
    assert_eq!(got[0].headers()["x"], "one two three");
    assert_eq!(got[0].headers()["y"], "z");
}

#[test]
fn headers_that_cannot_be_read_are_refused() {
    for header in ["no colon", "a b: c", "Content-Length : 5", ": x", "a: b\0c"] {
        let refused = refusal(format!("GET / HTTP/1.1\r\n{header}\r\n\r\n"));
        assert_eq!(refused.response.status(), 400, "{header:?}");
    }
}

#[test]
fn garbage_is_refused_and_shown_as_text() {
    assert_eq!(refusal("ELEPHANT\n\r\n").response.status(), StatusCode::BAD_REQUEST);
    let refused = refusal("<script>alert('&')</script>\r\n\r\n");
    let page = str::from_utf8(refused.response.body()).unwrap();
    assert!(
        page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)") && !page.contains("<script"),
        "{page}"
    );
    let text = put(refused.response);
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    assert!(text.contains("content-type: text/html") && text.contains("content-length: ") && text.contains("close"));
    for line in [
        "GET / HTTP/1.1 more",
        "GET",
        "GET / HTTP/1.x",
        "GET a:b HTTP/1.1",
        "GET example.com:80 HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
    ] {
        assert_eq!(refusal(format!("{line}\r\n\r\n")).response.status(), 400, "{line:?}");
    }
    assert_eq!(refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").response.status(), 505);
}

#[test]
fn what_is_behind_a_refused_request_is_not_read() {
    let mut filter = Httpd::new();
    assert_eq!(incoming(&mut filter, "oops\r\n\r\nGET / HTTP/1.1\r\n\r\n").len(), 1);
    for _ in 0..3 {
        assert!(incoming(&mut filter, "GET / HTTP/1.1\r\n\r\n").is_empty());
        assert!(filter.pending().is_empty());
    }
    filter.take_pending();
    assert_eq!(incoming(&mut filter, "GET / HTTP/1.1\r\n\r\n").len(), 1);
}

#[test]
fn an_encoding_without_a_length_needs_one() {
    let refused = refusal("ELEPHANT http://localhost/ HTTP/1.1\r\nContent-Encoding: mussa\r\n\r\n");
    assert_eq!(refused.response.status(), StatusCode::LENGTH_REQUIRED);
    is(
        &refused.request.unwrap(),
        "ELEPHANT",
        "http://localhost/",
        Version::HTTP_11,
        "",
    );
    assert_eq!(requests("POST / HTTP/1.0\r\nContent-Encoding: mussa\r\n\r\n").len(), 1);
}

#[test]
fn get_and_head_may_have_bodies() {
    let body = "POST /trap.html HTTP/1.1\r\nContent-Length: 10\r\n\r\nHONK HONK\n";
    let mut filter = Httpd::new();
    for method in ["GET", "HEAD"] {
        let head = format!("{method} / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut given = incoming(&mut filter, head + body);
        assert_eq!(given.len(), 1);
        is(&request(given.remove(0)), method, "/", Version::HTTP_11, body);
    }
}

#[test]
fn too_much_content_is_refused_and_skipped() {
    let refused_one = refusal("POST / HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\nNothing much");
    assert_eq!(refused_one.response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!refused_one.is_last() && refused_one.request.is_some());

    let mut filter = Httpd::new().max_content(10);
    let post = |length: &str, body: &str| format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
    is(
        &request(incoming(&mut filter, post("5", "honk\n")).remove(0)),
        "POST",
        "/",
        Version::HTTP_11,
        "honk\n",
    );
    for status in [413, 413] {
        let mut given = incoming(&mut filter, post("15", "honk honk honk\n"));
        assert_eq!(given.len(), 1);
        assert_eq!(refused(given.remove(0)).response.status(), status);
    }
    let bad = refused(incoming(&mut filter, post("fifteen", "honk honk honk\n")).remove(0));
    assert_eq!(bad.response.status(), 400);
    assert!(bad.is_last() && bad.request.is_some());
    for length in ["-1", "+5", "5 5", "0x5", "", "5,5"] {
        assert_eq!(refusal(post(length, "hello")).response.status(), 400, "{length:?}");
    }
    let huge = refusal(post("99999999999999999999999", ""));
    assert!(huge.response.status() == 413 && huge.is_last());
}

#[test]
fn two_readings_of_a_request_are_refused() {
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(
            refusal(format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n0\r\n\r\n"))
                .response
                .status(),
            400
        );
    }
    assert_eq!(
        refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .response
            .status(),
        400
    );
    for coding in [
        "gzip",
        "gzip, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "xchunked",
    ] {
        let refused = refusal(format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
        ));
        assert_eq!(refused.response.status(), 501, "{coding}");
    }
}

#[test]
fn chunks_are_joined_and_the_next_request_follows() {
    let bytes = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n, HTTP\r\n0\r\nTrailer: x\r\n\r\nGET /next HTTP/1.1\r\n\r\n";
    let got = requests(bytes);
    is(&got[0], "POST", "/", Version::HTTP_11, "hello, HTTP");
    is(&got[1], "GET", "/next", Version::HTTP_11, "");
    let mut filter = Httpd::new();
    for byte in &bytes.as_bytes()[..bytes.len() - 26] {
        assert!(incoming(&mut filter, [*byte]).is_empty());
        assert!(bytes.as_bytes().starts_with(filter.pending()));
    }
}

#[test]
fn chunks_that_cannot_be_read_are_refused() {
    let post = |chunks: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    for chunks in [
        "x\r\n",
        "\r\n",
        "-5\r\nhello",
        "5\r\nhello!\r\n",
        "5\r\nhello\n",
        "11111111111111111\r\n",
        "0\r\nbad trailer\r\n\r\n",
    ] {
        let refused = refusal(post(chunks));
        assert_eq!(refused.response.status().as_u16() / 100, 4, "{chunks:?}");
        assert!(refused.is_last() && refused.request.is_some());
    }
    let endless = format!("5;{}", "x".repeat(500));
    assert_eq!(refusal(post(&endless)).response.status(), 400);
    let mut filter = Httpd::new().max_content(8);
    let given = refused(incoming(&mut filter, post("5\r\nhello\r\n5\r\n")).remove(0));
    assert_eq!(given.response.status(), 413);
}

#[test]
fn streaming_gives_the_request_and_then_its_body() {
    let mut filter = Httpd::new().streaming(true);
    let bytes = "POST / HTTP/1.1\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nNothing much\n";
    let mut given = incoming(&mut filter, bytes);
    assert_eq!(given.len(), 3);
    is(&request(given.remove(0)), "POST", "/", Version::HTTP_11, "");
    assert!(matches!(&given[..], [Incoming::Chunk(chunk), Incoming::End] if chunk == "Nothing much\n"));
}

#[test]
fn streaming_uploads_over_one_connection() {
    // leolo: two uploads, larger than what is allowed of whole bodies, and a last request.
    let body = "x".repeat(1_000_000);
    let mut bytes = Vec::new();
    for path in ["/upload", "/other"] {
        bytes.extend(format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).bytes());
    }
    bytes.extend(b"PUT /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    bytes.extend(b"GET /done?bon=jour HTTP/1.1\r\n\r\n");
    let mut filter = Httpd::new().streaming(true).max_content(10).max_buffer(70_000);
    let (mut seen, mut size) = (Vec::new(), 0);
    for read in bytes.chunks(65_536) {
        for given in incoming(&mut filter, read) {
            match given {
                Incoming::Request(request) => seen.push(request.uri().to_string()),
                Incoming::Chunk(chunk) => size += chunk.len(),
                Incoming::End => seen.push(std::mem::take(&mut size).to_string()),
                other => panic!("{other:?}"),
            }
        }
        assert!(filter.pending().len() < 100);
    }
    assert_eq!(
        seen,
        [
            "/upload",
            "1000000",
            "/other",
            "1000000",
            "/chunks",
            "3",
            "/done?bon=jour"
        ]
    );
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let head = "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut filter = Httpd::new();
    let given = incoming(&mut filter, head).remove(0);
    let Incoming::Expect(go_on) = given else {
        panic!("{given:?}")
    };
    assert_eq!(put(go_on), "HTTP/1.1 100 Continue\r\n\r\n");
    is(
        &request(incoming(&mut filter, "hi").remove(0)),
        "POST",
        "/",
        Version::HTTP_11,
        "hi",
    );
    let given = incoming(&mut Httpd::new().streaming(true), head);
    assert!(matches!(&given[..], [Incoming::Request(_), Incoming::Expect(_)]));
    let refused = refused(incoming(&mut Httpd::new().max_content(1), head).remove(0));
    assert!(
        refused.response.status() == 413 && refused.is_last(),
        "whether the body comes is not known"
    );
}

#[test]
fn responses_are_put() {
    let response =
        |status: u16, body: &'static str| Response::builder().status(status).body(Bytes::from(body)).unwrap();
    assert_eq!(
        put(response(200, "pie")),
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\npie"
    );
    assert_eq!(
        put(response(404, "")),
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(put(response(204, "")), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(
        put(response(599, "")),
        "HTTP/1.1 599 Unknown Error\r\ncontent-length: 0\r\n\r\n"
    );

    let mut old = response(404, "");
    *old.version_mut() = Version::HTTP_10;
    old.extensions_mut().insert(Reason(HeaderValue::from_static("Nope")));
    assert!(put(old).starts_with("HTTP/1.0 404 Nope\r\n"));

    let mut of_head = response(200, "");
    of_head.headers_mut().insert(CONTENT_LENGTH, 1234.into());
    assert_eq!(put(of_head), "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n");
    let mut chunked = response(200, "0\r\n\r\n");
    chunked
        .headers_mut()
        .insert("transfer-encoding", HeaderValue::from_static("chunked"));
    assert_eq!(
        put(chunked),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
}

#[test]
fn bytes_of_headers_and_bodies_go_out_as_they_are() {
    let mut response = Response::new(Bytes::from_static(b"\x00\xC3\xE7\xFF\x00"));
    let value = HeaderValue::from_bytes(b"En \xE9t\xE9").unwrap();
    response.headers_mut().append("x-subject", value.clone());
    response.headers_mut().append("x-subject", value);
    let mut out = BytesMut::new();
    Httpd::new().put(response, &mut out).unwrap();
    let expected = b"HTTP/1.1 200 OK\r\nx-subject: En \xE9t\xE9\r\nx-subject: En \xE9t\xE9\r\ncontent-length: 5\r\n\r\n\x00\xC3\xE7\xFF\x00";
    assert_eq!(&out[..], expected);
}

#[test]
fn responses_that_would_be_misread_are_errors() {
    let mut wrong = Response::new(Bytes::from("body"));
    wrong.headers_mut().insert(CONTENT_LENGTH, 3.into());
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(Httpd::new().put(wrong, &mut out).is_err());
    let mut wrong = Response::new(Bytes::from("body"));
    *wrong.status_mut() = StatusCode::NOT_MODIFIED;
    assert!(Httpd::new().put(wrong, &mut out).is_err());
    assert_eq!(&out[..], b"before");
}

#[test]
fn connections_go_on_or_not() {
    let alive = |bytes: &str| keeps_alive(&requests(bytes)[0]);
    assert!(alive("GET / HTTP/1.1\r\n\r\n") && !alive("GET / HTTP/1.0\r\n\r\n") && !alive("GET /\r\n\r\n"));
    assert!(!alive("GET / HTTP/1.1\r\nConnection: Upgrade, CLOSE\r\n\r\n"));
    assert!(alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

#[test]
fn settings_that_make_no_sense_are_found() {
    for filter in [
        Httpd::new().max_content(10).max_buffer(5),
        Httpd::new().max_content(10).max_buffer(12),
        Httpd::new().max_content(0),
        Httpd::new().max_buffer(0),
        Httpd::new().max_head(0),
    ] {
        let mut filter = filter.fresh();
        assert!(filter.check().unwrap_err().is_invalid_setting());
        assert!(filter.get(b"GET / HTTP/1.1\r\n\r\n").remove(0).unwrap_err().is_fatal());
    }
    assert!(Httpd::new().max_content(10).max_buffer(13).check().is_ok());
}

#[test]
fn an_overfull_buffer_breaks_and_an_overlong_head_is_refused() {
    let mut filter = Httpd::new().max_buffer(10).max_content(5);
    let error = filter
        .get(b"This line is going to be to long for our filter\n")
        .remove(0)
        .unwrap_err();
    assert!(error.is_overflow() && error.is_fatal());

    for read in [1, 7, 100_000] {
        let bytes = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(2000));
        let mut filter = Httpd::new().max_head(1000);
        let mut given = Vec::new();
        for piece in bytes.as_bytes().chunks(read) {
            given.extend(incoming(&mut filter, piece));
            assert!(filter.pending().len() <= 1100);
        }
        assert_eq!(given.len(), 1);
        assert_eq!(refused(given.remove(0)).response.status(), 431);
    }
    let many = "a: b\r\n".repeat(200);
    assert_eq!(refusal(format!("GET / HTTP/1.1\r\n{many}\r\n")).response.status(), 431);
}

#[test]
fn an_upgrade_leaves_what_follows_to_the_next_filter() {
    let (mut filter, mut next) = (Httpd::new(), Raw::new());
    filter.feed(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n\x16\x03");
    let connect = request(filter.next_record().unwrap().unwrap());
    assert_eq!(
        (connect.method(), connect.uri().authority().unwrap().as_str()),
        (&Method::CONNECT, "example.org:443")
    );
    next.feed(&filter.take_pending());
    assert_eq!(next.next_record().unwrap().unwrap(), &b"\x16\x03"[..]);
}

/// What two runs are compared by: pieces of a body are joined.
fn told(filter: &mut Httpd, reads: &[&[u8]]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    let mut body: Option<Vec<u8>> = None;
    for read in reads {
        for record in filter.get(read) {
            match record {
                Ok(Incoming::Chunk(chunk)) => body.get_or_insert_default().extend(&chunk),
                other => {
                    told.extend(body.take().map(|body| body.escape_ascii().to_string()));
                    told.push(match other {
                        Ok(Incoming::Request(request)) => format!("{request:?}"),
                        Ok(Incoming::Refused(refused)) => format!("{refused:?}"),
                        Ok(other) => format!("{other:?}"),
                        Err(error) => error.to_string(),
                    });
                }
            }
        }
    }
    told.extend(body.map(|body| body.escape_ascii().to_string()));
    told
}

/// Requests, whole or not, and what is none.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => ("[A-Z]{1,4}", "/{1,2}[a-z?*]{0,5}", prop::sample::select(vec![" HTTP/1.1", " HTTP/1.0", "", " HTTP/2.0"]), prop::sample::select(vec!["\r\n", "\n", "\r\n a\r\n"]))
            .prop_map(|(method, path, version, newline)| format!("{method} {path}{version}{newline}x: y{newline}\r\n").into_bytes()),
        3 => "[a-z\r\n]{0,9}".prop_map(|body| format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()),
        3 => prop::collection::vec("[a-z\r\n]{1,9}", 0..4).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|chunk| format!("{:x};e\r\n{chunk}\r\n", chunk.len())).collect();
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nt: x\r\n\r\n").into_bytes()
        }),
        1 => prop::sample::select(vec![
            "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\n", "Expect: 100-continue\r\n", "Transfer-Encoding: chunked\r\n", "\r\n\r\n", "5\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..5),
    ];
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn chunks_do_not_matter_to_http(stream in streams(), cuts in cuts(), limit in 1..12_usize) {
        for filter in [Httpd::new(), Httpd::new().max_content(limit), Httpd::new().max_head(40), Httpd::new().streaming(true)] {
            let expected = told(&mut filter.fresh(), &[&stream]);
            let mut parts = filter.fresh();
            prop_assert_eq!(told(&mut parts, &chunks(&stream, &cuts)), expected);
            let pending = parts.pending().to_vec();
            prop_assert_eq!(parts.take_pending(), pending);
        }
    }

    #[test]
    fn a_switch_of_http_loses_nothing(stream in streams(), cuts in cuts()) {
        // What is refused ends the stream, and a client that waits is told again.
        let sound = |told: &[String]| told.iter().all(|told| told.starts_with("Request") );
        let expected = told(&mut Httpd::new(), &[&stream]);
        if sound(&expected) {
            let (mut filter, mut seen) = (Httpd::new(), Vec::new());
            for read in chunks(&stream, &cuts) {
                seen.extend(told(&mut filter, &[read]));
                let mut next = Httpd::new();
                next.feed(&filter.take_pending());
                filter = next;
            }
            seen.extend(told(&mut filter, &[b""]));
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn the_memory_of_http_is_bounded(stream in streams(), limit in 1..9_usize, extra in 2..200_usize) {
        memory_is_bounded(&Httpd::new().max_content(limit).max_buffer(limit + extra), &stream, limit + extra)?;
    }

    #[test]
    fn any_bytes_give_requests_refusals_or_nothing(stream in prop::collection::vec(any::<u8>(), 0..200), cuts in cuts()) {
        let expected = told(&mut Httpd::new(), &[&stream]);
        prop_assert_eq!(told(&mut Httpd::new(), &chunks(&stream, &cuts)), expected);
    }
}

/// What POE 1.370 and Perl's `URI` make of these targets, but for the last five: `Uri` has no fragments and no paths without a
/// slash.
#[test]
fn targets_are_escaped_as_poe_does() {
    let cases: [(&[u8], &str); 16] = [
        (b"/a?q=<b>", "/a?q=%3Cb%3E"),
        (b"/a?q=\"b\"", "/a?q=%22b%22"),
        (b"/a<b>", "/a%3Cb%3E"),
        (b"/caf\xe9", "/caf%E9"),
        (b"/?q=caf\xe9", "/?q=caf%E9"),
        (b"/a\"b\"", "/a%22b%22"),
        ("/caf\u{e9}".as_bytes(), "/caf%C3%A9"),
        (b"/a|b{c}^`\\", "/a%7Cb%7Bc%7D%5E%60%5C"),
        (b"/a[1]", "/a%5B1%5D"),
        (b"/a%zz", "/a%zz"),
        (b"http://h/<p>?q=[1]", "http://h/%3Cp%3E?q=%5B1%5D"),
        (b"/a#fragment", "/a"),
        (b"index.html", "/index.html"),
        (b"?x=1", "/?x=1"),
        (b"http://h", "http://h/"),
        (b"caf\xe9?a:b", "/caf%E9?a:b"),
    ];
    for (target, uri) in cases {
        for head in [&b" HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"\t HTTP/1.0\nHost: a\n\n"] {
            let got = requests([b"GET ", target, head].concat());
            assert_eq!(got[0].uri(), uri, "{}", target.escape_ascii());
        }
    }
    for target in [
        &b"/a\x01"[..],
        b"/\x7f",
        b"a:b",
        b"http:/x",
        b"http://h\xe9/p",
        b"http://<h>/",
        b"://h/",
    ] {
        let refused = refusal([b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!(refused.response.status(), 400, "{}", target.escape_ascii());
    }
    assert_eq!(
        requests("CONNECT example.com:443 HTTP/1.1\r\n\r\n")[0].uri(),
        "example.com:443"
    );
    assert_eq!(requests("OPTIONS * HTTP/1.1\r\n\r\n")[0].uri(), "*");
    assert_eq!(refusal("CONNECT /a HTTP/1.1\r\n\r\n").response.status(), 400);
}

/// A reader that ends lines at a bare LF would see other chunks, and a request of the attacker's behind them.
#[test]
fn lines_of_trailers_end_in_cr_lf_and_in_nothing_else() {
    let post = |trailers: &str| {
        format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n{trailers}GET /hidden HTTP/1.1\r\n\r\n"
        )
    };
    for trailers in [
        "\n",
        "A: b\n\n",
        "A: b\r\n\n",
        "A: b\n\r\n",
        "A: b\nC: d\r\n\r\n",
        "A: b\r\nC: d\n\r\n",
        "A: b\rC: d\r\n\r\n",
        "A: \0\r\n\r\n",
        "\r\r\n\r\n",
    ] {
        let bytes = post(trailers);
        for piece in [1, 2, 3, bytes.len()] {
            let mut filter = Httpd::new();
            let got: Vec<Incoming> = bytes
                .as_bytes()
                .chunks(piece)
                .flat_map(|piece| incoming(&mut filter, piece))
                .collect();
            let [Incoming::Refused(refused)] = &got[..] else {
                panic!("{trailers:?} in pieces of {piece}: {got:?}")
            };
            assert!(refused.is_last() && refused.response.status() == 400, "{trailers:?}");
        }
    }
    for trailers in ["\r\n", "A: b\r\n\r\n", "A: b\r\nC: d\r\n\r\n"] {
        let bytes = post(trailers);
        for piece in [1, 2, 3, bytes.len()] {
            let mut filter = Httpd::new();
            let pieces = bytes.as_bytes().chunks(piece);
            let got: usize = pieces.map(|piece| incoming(&mut filter, piece).len()).sum();
            assert_eq!(got, 2, "{trailers:?} in pieces of {piece}");
        }
    }
}

#[test]
fn control_characters_in_the_line_of_a_chunk_are_refused() {
    let post = |chunks: &[u8]| [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", chunks].concat();
    for streaming in [false, true] {
        for byte in (0..=0x1f_u8).chain([0x7f]).filter(|byte| *byte != b'\t') {
            for (before, after) in [
                (&b"4;a"[..], &b"b\r\nabcd\r\n0\r\n\r\n"[..]),
                (b"4", b";b\r\nabcd\r\n0\r\n\r\n"),
                (b"4;", b"\r\nabcd\r\n0\r\n\r\n"),
                (b"4", b"abcd\r\n0\r\n\r\n"),
                (b"", b"4\r\nabcd\r\n0\r\n\r\n"),
                (b"4\r\nabcd\r\n0;", b"\r\n\r\n"),
            ] {
                let bytes = post(&[before, &[byte], after].concat());
                let got = incoming(&mut Httpd::new().streaming(streaming), &bytes);
                let last = got.last().unwrap();
                let Incoming::Refused(refused) = last else {
                    panic!("{}: {last:?}", bytes.escape_ascii())
                };
                assert!(refused.is_last() && refused.response.status() == 400);
            }
        }
    }
    for chunks in [
        "4 ;a=\t\"b c\"\r\nabcd\r\n0\r\n\r\n",
        "0004\t\r\nabcd\r\n0 \r\n\r\n",
        "4;caf\u{e9}\r\nabcd\r\n0\r\n\r\n",
    ] {
        assert_eq!(requests(post(chunks.as_bytes()))[0].body(), "abcd", "{chunks:?}");
    }
    for chunks in [
        "4 4\r\nabcd",
        "4 a;\r\n",
        ";a\r\n",
        " 4\r\n",
        "0x4\r\nabcd",
        "+4\r\nabcd",
    ] {
        assert_eq!(refusal(post(chunks.as_bytes())).response.status(), 400, "{chunks:?}");
    }
}

#[test]
fn each_limit_is_a_setting() {
    let with = |limits: HttpdLimits, bytes: &str| {
        let given = refused(incoming(&mut Httpd::new().limits(limits), bytes).remove(0));
        given.response.status().as_u16()
    };
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let limits = HttpdLimits::default();
    assert_eq!(
        with(HttpdLimits { max_head: 20, ..limits }, "GET / HTTP/1.1\r\nA: b\r\n\r\n"),
        431
    );
    assert_eq!(
        with(
            HttpdLimits {
                max_headers: 2,
                ..limits
            },
            "GET / HTTP/1.1\r\nA: b\r\nA: b\r\nA: b\r\n\r\n"
        ),
        431
    );
    assert_eq!(
        with(
            HttpdLimits {
                max_content: 3,
                ..limits
            },
            &format!("{chunked}4\r\n")
        ),
        413
    );
    assert_eq!(
        with(
            HttpdLimits {
                max_chunk_line: 8,
                ..limits
            },
            &format!("{chunked}4;abcdefgh")
        ),
        400
    );
    assert_eq!(
        with(
            HttpdLimits {
                max_trailers: 8,
                ..limits
            },
            &format!("{chunked}0\r\nA: bcdefgh\r\n\r\n")
        ),
        400
    );
    let tiny = "1\r\na\r\n".repeat(20);
    assert_eq!(
        with(
            HttpdLimits {
                max_framing: 64,
                ..limits
            },
            &format!("{chunked}{tiny}")
        ),
        413
    );
    let many = "A: b\r\n".repeat(300);
    let mut filter = Httpd::new().limits(HttpdLimits {
        max_headers: 300,
        ..limits
    });
    let got = incoming(&mut filter, format!("GET / HTTP/1.1\r\n{many}\r\n")).remove(0);
    assert_eq!(request(got).headers().len(), 300);
    let many: String = (0..40_000).map(|n| format!("a{n}: b\r\n")).collect();
    let limits = HttpdLimits {
        max_headers: 100_000,
        max_head: 1 << 20,
        ..limits
    };
    assert_eq!(with(limits, &format!("GET / HTTP/1.1\r\n{many}\r\n")), 431);
    for zero in [
        HttpdLimits {
            max_headers: 0,
            ..limits
        },
        HttpdLimits {
            max_framing: 0,
            ..limits
        },
        HttpdLimits {
            max_buffer: Some(0),
            ..limits
        },
    ] {
        assert!(Httpd::new().limits(zero).check().unwrap_err().is_invalid_setting());
    }
    let most = HttpdLimits {
        max_content: usize::MAX,
        max_head: usize::MAX,
        max_headers: usize::MAX,
        max_chunk_line: usize::MAX,
        max_trailers: usize::MAX,
        max_framing: usize::MAX,
        max_buffer: None,
    };
    let mut filter = Httpd::new().limits(most);
    assert_eq!(
        filter
            .get(format!("{chunked}{tiny}0\r\n\r\nGET / HTTP/1.1\r\n\r\n").as_bytes())
            .len(),
        2
    );
}

/// The headers that say where a body ends.
fn framing() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let name = prop::sample::select(vec!["content-length", "transfer-encoding"]);
    let value = prop::sample::select(vec![
        "5",
        "6",
        "05",
        "+5",
        "-5",
        "5 ",
        "5, 5",
        "0x5",
        "x",
        "",
        "0",
        "99999999999999999999",
        "chunked",
        "Chunked",
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "\tchunked",
        "15",
    ]);
    prop::collection::vec((name, value), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What `put` writes is one message to a strict reader, whatever the headers say: the reader that takes requests.
    #[test]
    fn put_refuses_every_framing_that_get_refuses(
        headers in framing(),
        body in prop::sample::select(vec!["hello", "5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET", "5\r\nhello\r\n", "5;\n\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n"]),
        old in any::<bool>(),
    ) {
        let mut builder = Response::builder();
        for (name, value) in &headers {
            builder = builder.header(*name, *value);
        }
        if old {
            builder = builder.version(Version::HTTP_10);
        }
        let mut out = BytesMut::from("before");
        let put = Httpd::new().put(builder.body(Bytes::from(body)).unwrap(), &mut out);
        if put.is_err() {
            prop_assert_eq!(&out[..], b"before");
            return Ok(());
        }
        let text = String::from_utf8(out[6..].to_vec()).unwrap();
        let version = if old { "HTTP/1.0" } else { "HTTP/1.1" };
        let text = text.replacen(&format!("{version} 200 OK"), &format!("POST / {version}"), 1);
        let mut filter = Httpd::new();
        let given = incoming(&mut filter, &text);
        prop_assert_eq!(given.len(), 1, "{:?}: {:?}", &text, &given);
        prop_assert_eq!(filter.pending(), b"");
        let Some(Incoming::Request(request)) = given.into_iter().next() else {
            return Err(TestCaseError::fail(text));
        };
        let plain = request.headers().get(CONTENT_LENGTH).is_some();
        let decoded = if body.starts_with('0') { "" } else { "hello" };
        prop_assert_eq!(request.body(), if plain { body } else { decoded });
    }
}

#[test]
fn framing_that_would_be_misread_is_not_put() {
    let of = |headers: &[(&str, &str)], status: u16, body: &'static str| {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        Httpd::new()
            .put(builder.body(body.into()).unwrap(), &mut BytesMut::new())
            .is_ok()
    };
    assert!(!of(&[("content-length", "5"), ("content-length", "6")], 200, "hello"));
    assert!(!of(&[("content-length", "5"), ("content-length", "5")], 200, "hello"));
    assert!(!of(
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        200,
        "hello"
    ));
    assert!(!of(&[("transfer-encoding", "chunked")], 200, "hello"));
    assert!(!of(&[("transfer-encoding", "gzip")], 200, ""));
    assert!(!of(&[("content-length", "x")], 200, ""));
    assert!(!of(&[("content-length", "+5")], 200, "hello"));
    assert!(!of(&[("content-length", "5")], 204, ""));
    assert!(!of(&[("transfer-encoding", "chunked")], 204, ""));
    // What answers HEAD, a head whose chunks are put behind it, and what has not changed.
    assert!(of(&[("content-length", "5")], 200, ""));
    assert!(of(&[("content-length", "5")], 304, ""));
    assert!(of(&[("transfer-encoding", "chunked")], 200, ""));
    assert!(of(&[("transfer-encoding", "chunked")], 200, "5\r\nhello\r\n0\r\n\r\n"));
}
