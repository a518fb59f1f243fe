//! POE::Filter::HTTPD: the server's side of HTTP/1; reads requests and writes responses, with the types of the `http` crate.
//!
//! | file | contents |
//! |---|---|
//! | `filter.rs` | [`Httpd`]: its settings, and the order in which its parts are called |
//! | `incoming.rs` | [`Incoming`]: the input record |
//! | `reading.rs` | the states in which a request is read |
//! | `limits.rs` | [`HttpdLimits`]: the limits of the parts of a request |
//! | `target.rs` | the accepted targets, and the bytes that are escaped in them |
//! | `head.rs` | a request's head, with `httparse`, and the extensions that POE accepts |
//! | `chunks.rs` | chunked bodies |
//! | `refused.rs` | refused requests and their error pages |
//! | `response.rs` | responses as bytes |

mod chunks;
mod filter;
mod head;
mod incoming;
mod limits;
mod reading;
mod refused;
mod response;
mod target;

pub use filter::Httpd;
pub use incoming::Incoming;
pub use limits::HttpdLimits;
pub use refused::Refused;
pub use response::{Reason, keeps_alive};
