//! How fast the filter is, in bytes of the wire. `cargo bench -p poe-http`.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::BytesCount;
use http::{HeaderValue, Response};
use poe::filter::Filter;
use poe_http::Httpd;

const REQUESTS: usize = 64;
const REQUEST: &[u8] = b"GET /index.html?a=b HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl/8.14.1\r\n\
    Accept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n";

fn main() {
    divan::main();
}

/// Parses a read over and over, and checks how many records it gives.
fn parse<F: Filter>(bencher: Bencher<'_, '_>, mut filter: F, bytes: &[u8], records: usize) {
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        filter.feed(bytes);
        let mut seen = 0;
        while let Ok(Some(record)) = filter.next_record() {
            divan::black_box(record);
            seen += 1;
        }
        assert_eq!(seen, records);
    });
}

/// Puts a record over and over, `size` bytes each.
fn put<F: Filter<Output: Clone>>(bencher: Bencher<'_, '_>, mut filter: F, record: F::Output, size: usize) {
    let mut out = BytesMut::with_capacity(1 << 16);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        out.clear();
        filter.put(record.clone(), &mut out).expect("it has a form");
    });
    assert_eq!(out.len(), size);
}

/// The parser that the filter has inside, and nothing made of what it finds.
#[divan::bench]
fn httparse_alone(bencher: Bencher<'_, '_>) {
    let bytes = REQUEST.repeat(REQUESTS);
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let mut left = &bytes[..];
        while !left.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut headers);
            let Ok(httparse::Status::Complete(size)) = request.parse(left) else {
                panic!("it is complete");
            };
            divan::black_box(&request);
            left = &left[size..];
        }
    });
}

#[divan::bench]
fn requests(bencher: Bencher<'_, '_>) {
    parse(bencher, Httpd::new(), &REQUEST.repeat(REQUESTS), REQUESTS);
}

#[divan::bench]
fn one_request_to_a_read(bencher: Bencher<'_, '_>) {
    parse(bencher, Httpd::new(), REQUEST, 1);
}

#[divan::bench]
fn bodies_of_16_kib(bencher: Bencher<'_, '_>) {
    let mut bytes = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16384\r\n\r\n".to_vec();
    bytes.resize(bytes.len() + 16384, b'x');
    parse(bencher, Httpd::new(), &bytes, 1);
}

#[divan::bench]
fn chunks_of_1_kib(bencher: Bencher<'_, '_>) {
    let mut bytes = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..16 {
        bytes.extend_from_slice(b"400\r\n");
        bytes.resize(bytes.len() + 1024, b'x');
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    parse(bencher, Httpd::new(), &bytes, 1);
}

#[divan::bench]
fn puts(bencher: Bencher<'_, '_>) {
    let mut response = Response::new(Bytes::from_static(b"Hello, World!"));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    put(bencher, Httpd::new(), response, 78);
}
