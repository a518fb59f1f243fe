//! What the filter yields.

use super::refused::Refused;
use bytes::Bytes;
use http::{Request, Response};

/// What [`Httpd`](super::Httpd) yields.
///
/// A server that does not stream can put whatever is in any of them:
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use poe::filter::httpd::Incoming;
/// fn answer(incoming: Incoming) -> Option<Response<Bytes>> {
///     match incoming {
///         Incoming::Request(request) => Some(Response::new(request.into_body())),
///         Incoming::Expect(go_on) => Some(go_on),
///         Incoming::Refused(refused) => Some(refused.response),
///         Incoming::Chunk(_) | Incoming::End => None,
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Incoming {
    /// A request, with its body unless the filter streams.
    Request(Request<Bytes>),
    /// The client waits for this response (`100 Continue`) before it sends a body. Put it, or wait: clients lose patience.
    Expect(Response<Bytes>),
    /// Streaming: a piece of the body, as it came.
    Chunk(Bytes),
    /// Streaming: the body of a request that has one is over.
    End,
    /// A request that is not accepted.
    Refused(Box<Refused>),
}
