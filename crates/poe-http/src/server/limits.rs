//! The limits of a server.

use std::time::Duration;

/// What a client of an [`HttpServer`](super::HttpServer) may use.
///
/// ```
/// use poe_http::HttpLimits;
/// let limits = HttpLimits { max_body: 10 * 1024 * 1024, ..HttpLimits::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The most connections at a time; default 10 000. Others wait in the system's backlog.
    pub max_connections: usize,
    /// The most connections of one IP address, or of one /64 network of IPv6; default unlimited. Others are closed.
    pub max_connections_per_ip: usize,
    /// The largest head of a request in bytes, HTTP/2's header list included; default 64 KiB, at least 8 KiB. Status 431.
    pub max_head: usize,
    /// The most headers of a request on HTTP/1; default 100. Status 431.
    ///
    /// HTTP/2 has the limit of bytes, which counts 32 for each header.
    pub max_headers: usize,
    /// The largest body of a request in bytes; default 1 MiB. Status 413.
    pub max_body: u64,
    /// The most requests at a time on a connection of HTTP/2; default 100. Others are refused with `REFUSED_STREAM`.
    pub max_streams: u32,
    /// The most streams that a client may have reset before they were accepted; default 20. Then the connection ends.
    pub max_resets: usize,
    /// The most streams that the server may have to reset because of a client's errors; default 1024. Then the connection ends.
    pub max_errors: usize,
    /// The longest time for a whole head after its first byte, and for the first head of a connection; default 10 s. Then the
    /// connection is closed.
    pub head_timeout: Duration,
    /// The longest time without a byte of a body; default 30 s. Status 408.
    pub body_timeout: Duration,
    /// The longest time until your program replies to a request; default 60 s. Status 503.
    pub request_timeout: Duration,
    /// The longest time in which a client takes no byte of a response; default 30 s. Then the connection is closed.
    pub write_timeout: Duration,
    /// The longest time of a connection without a request; default 60 s. Then the connection is closed.
    pub idle_timeout: Duration,
    /// The longest time that connections have to end after a shutdown; default 30 s. Then they are closed.
    pub drain_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            max_connections: 10_000,
            max_connections_per_ip: usize::MAX,
            max_head: 64 * 1024,
            max_headers: 100,
            max_body: 1024 * 1024,
            max_streams: 100,
            max_resets: 20,
            max_errors: 1024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
