//! POE::Filter::HTTPD: the server's side of HTTP/1; requests in, responses out, with the types of the `http` crate.
//!
//! | file | what it is |
//! |---|---|
//! | `filter.rs` | [`Httpd`]: its settings, and the order in which its parts are asked |
//! | `incoming.rs` | [`Incoming`]: what it yields |
//! | `reading.rs` | where a request begins and ends, and what it becomes |
//! | `limits.rs` | [`HttpdLimits`]: how large the parts of a request may be |
//! | `target.rs` | which targets are taken, and what is escaped in them |
//! | `head.rs` | a request's head, by `httparse`, with what POE accepts beyond |
//! | `chunks.rs` | bodies that come in chunks |
//! | `refused.rs` | requests that are answered by an error page |
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
