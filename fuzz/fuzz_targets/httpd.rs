//! Any bytes, in any chunks, through the HTTP filter: the same requests and refusals as in one piece, bodies within the
//! limit, no panic; and what is answered can be put.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use poe::filter::{Filter, FilterExt};
use poe_http::{Httpd, Incoming};

fuzz_target!(|data: &[u8]| {
    let &[mode, limit, cuts, ref rest @ ..] = data else {
        return;
    };
    let (cuts, stream) = rest.split_at((cuts as usize).min(rest.len()));
    let limit = limit as usize + 1;
    let filter = Httpd::new()
        .streaming(mode & 1 == 1)
        .max_content(limit)
        .max_head(match mode & 2 {
            0 => 64 * 1024,
            _ => 100,
        });

    let mut expected = Vec::new();
    let mut whole = filter.fresh();
    told(&mut whole, stream, limit, &mut expected);

    let mut seen = Vec::new();
    let mut parts = filter.fresh();
    let mut left = stream;
    for &cut in cuts {
        let (read, behind) = left.split_at((cut as usize).min(left.len()));
        told(&mut parts, read, limit, &mut seen);
        left = behind;
    }
    told(&mut parts, left, limit, &mut seen);
    assert_eq!(seen, expected);

    let pending = parts.pending().to_vec();
    assert!(stream.ends_with(&pending));
    assert_eq!(parts.take_pending(), pending);
});

/// The reported parts, in order; pieces of a body are joined.
fn told(filter: &mut Httpd, read: &[u8], limit: usize, told: &mut Vec<(String, Vec<u8>)>) {
    for record in filter.get(read) {
        match record.expect("nothing that comes breaks the filter") {
            Incoming::Request(request) => {
                assert!(request.body().len() <= limit);
                told.push((format!("{request:?}"), Vec::new()));
            }
            Incoming::Chunk(chunk) => match told.last_mut() {
                Some((what, body)) if what == "chunks" => body.extend_from_slice(&chunk),
                _ => told.push(("chunks".to_owned(), chunk.to_vec())),
            },
            Incoming::Expect(response) => {
                Httpd::new().put(response, &mut BytesMut::new()).expect("it has a form");
                told.push(("expect".to_owned(), Vec::new()));
            }
            Incoming::Refused(refused) => {
                let what = format!("{} {}", refused.response.status(), refused.is_last());
                let mut out = BytesMut::new();
                Httpd::new().put(refused.response, &mut out).expect("it has a form");
                told.push((what, out.to_vec()));
            }
            Incoming::End => told.push(("end".to_owned(), Vec::new())),
        }
    }
}
