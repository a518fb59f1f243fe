//! HTTP/2 by hand: frames that a well-behaved client would not send, and the limits that they meet.

use super::*;
use poe_http::HttpLimits;
use std::cell::RefCell;
use std::rc::Rc;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame: type, flags, stream, payload.
pub(super) type Frame = (u8, u8, u32, Vec<u8>);

pub(super) struct Client(DuplexStream);

impl Client {
    pub(super) async fn connect(kernel: &Kernel) -> Self {
        let mut client = Client(super::connect(kernel));
        send(&mut client.0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.frame(4, 0, 0, &[]).await;
        client
    }

    pub(super) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        // The server may have closed the connection: reading tells.
        let _ = self.0.write_all(&frame(kind, flags, stream, payload)).await;
    }

    pub(super) async fn get(&mut self, stream: u32, path: &str) {
        let block = request(path, &[]);
        self.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block).await;
    }

    pub(super) async fn reset(&mut self, stream: u32) {
        self.frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await;
    }

    /// Reads a frame; `None` at the end.
    pub(super) async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }

    /// Reads until a frame of this type.
    async fn read_until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.0 == kind {
                return Some(frame);
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Encodes a request without compression.
fn request(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
    ];
    for (name, value) in fields.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn code(goaway_or_reset: &Frame) -> u32 {
    let at = if goaway_or_reset.0 == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(goaway_or_reset.3[at..at + 4].try_into().unwrap())
}

/// A server that replies to `/`, and to `/never` not at all.
fn server(limits: HttpLimits) -> HttpServerBuilder<(), poe::component::WithCallbacks> {
    let kept = Rc::new(RefCell::new(Vec::new()));
    builder()
        .limits(limits)
        .get("/", |_, exchange| exchange.text("hello"))
        .get("/never", move |_, exchange| kept.borrow_mut().push(exchange))
}

fn limits() -> HttpLimits {
    HttpLimits {
        drain_timeout: Duration::from_secs(1),
        ..HttpLimits::default()
    }
}

#[tokio::test(start_paused = true)]
async fn requests_on_one_connection_overtake_one_another() {
    serving(server(limits()), async |kernel, _| {
        let mut client = Client::connect(kernel).await;
        client.get(1, "/never").await;
        client.get(3, "/").await;
        let (_, _, stream, body) = client.read_until(DATA).await.unwrap();
        assert_eq!((stream, &*body), (3, &b"hello"[..]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_limit_are_refused() {
    let limits = HttpLimits {
        max_streams: 3,
        ..limits()
    };
    serving(server(limits), async |kernel, server| {
        let mut client = Client::connect(kernel).await;
        for stream in [1, 3, 5, 7] {
            client.get(stream, "/never").await;
        }
        let reset = client.read_until(RST_STREAM).await.unwrap();
        assert_eq!((reset.2, code(&reset)), (7, REFUSED_STREAM));
        assert_eq!(server.requests(), 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_resets_ends_the_connection() {
    let limits = HttpLimits {
        max_resets: 5,
        ..limits()
    };
    serving(server(limits), async |kernel, server| {
        let mut client = Client::connect(kernel).await;
        // In one piece, as the attack has it: the server reads the requests together with their resets.
        let mut flood = Vec::new();
        for number in 0..1000 {
            let (stream, block) = (2 * number + 1, request("/never", &[]));
            flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
            flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        let (_, goaway) = tokio::join!(
            async {
                // The server stops reading.
                let _ = client.0.write_all(&flood).await;
            },
            async { tokio::time::sleep(Duration::from_secs(1)).await }
        );
        let () = goaway;
        let goaway = client.read_until(GOAWAY).await.unwrap();
        assert_eq!(code(&goaway), ENHANCE_YOUR_CALM);
        assert!(server.requests() < 100, "{}", server.requests());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_continuations_ends_the_connection() {
    serving(server(limits()), async |kernel, server| {
        let mut client = Client::connect(kernel).await;
        client.frame(HEADERS, END_STREAM, 1, &request("/", &[])).await;
        let more = {
            let mut block = vec![0, 1, b'x', 127, 0x81, 0x7e]; // a value of 16 384 bytes begins
            block.truncate(3);
            block.extend([100]);
            block.extend([b'y'; 100]);
            block
        };
        let writes = async {
            let bytes = frame(CONTINUATION, 0, 1, &more);
            for _ in 0..100_000 {
                if client.0.write_all(&bytes).await.is_err() {
                    return true;
                }
            }
            false
        };
        let limit = tokio::time::timeout(Duration::from_secs(1), writes).await;
        assert_ne!(limit, Ok(false), "the server reads ten megabytes of headers");
        let goaway = client.read_until(GOAWAY).await.expect("a GOAWAY");
        assert_eq!(code(&goaway), ENHANCE_YOUR_CALM);
        assert_eq!(server.requests(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_header_list_beyond_the_limit_is_refused() {
    let limits = HttpLimits {
        max_head: 8192,
        ..limits()
    };
    serving(server(limits), async |kernel, server| {
        let value = "v".repeat(100);
        for (count, refused) in [(30, false), (80, true)] {
            let mut client = Client::connect(kernel).await;
            let fields: Vec<_> = (0..count).map(|_| ("x", &*value)).collect();
            let block = request("/", &fields);
            let (first, rest) = block.split_at(block.len().min(8000));
            let flags = if rest.is_empty() { END_HEADERS } else { 0 };
            client.frame(HEADERS, flags | END_STREAM, 1, first).await;
            if !rest.is_empty() {
                client.frame(CONTINUATION, END_HEADERS, 1, rest).await;
            }
            let before = server.requests();
            let mut ends = false;
            while let Some(frame) = client.read().await {
                match frame.0 {
                    DATA => break,
                    RST_STREAM | GOAWAY => {
                        ends = true;
                        break;
                    }
                    // A response of the protocol itself: 431.
                    HEADERS if frame.1 & END_STREAM != 0 => {
                        ends = true;
                        break;
                    }
                    _ => {}
                }
            }
            assert_eq!(ends, refused, "{count} fields");
            assert_eq!(server.requests() - before, u64::from(!refused));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_told_to_go_and_closed() {
    serving(server(limits()), async |kernel, _| {
        let mut client = Client::connect(kernel).await;
        client.get(1, "/").await;
        client.read_until(DATA).await.unwrap();
        let (time, end) = timed(async {
            let goaway = client.read_until(GOAWAY).await;
            while client.read().await.is_some() {}
            goaway
        })
        .await;
        assert!(end.is_some());
        assert!((60..=66).contains(&time.as_secs()), "{time:?}");
    })
    .await;
}
