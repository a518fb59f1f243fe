//! The filter's input record.

use super::refused::Refused;
use bytes::Bytes;
use http::{Request, Response};

/// A record that [`Httpd`](super::Httpd) yields.
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use poe::filter::httpd::Incoming;
/// fn reply(incoming: Incoming) -> Option<Response<Bytes>> {
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
    /// The client waits for this response (`100 Continue`) before it sends a body.
    ///
    /// Put it, or read on: a client that gets no response sends the body after a while.
    Expect(Response<Bytes>),
    /// With streaming: a piece of the body, as it came.
    Chunk(Bytes),
    /// With streaming: the end of a body.
    End,
    /// A request that is not accepted.
    Refused(Box<Refused>),
}
