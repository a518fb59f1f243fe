//! The other side of a `GenericProcess`: the loop of the child.

use crate::panics::caught;
use bytes::BytesMut;
use poe::filter::{Filter, Reference, ReferenceLimits, Storable};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::{self, Read, Write};

/// A request with its number.
type Request<Q> = (u64, Q);
/// The reply with that number: the value, or the text of an error.
pub(super) type Reply<R> = (u64, Result<R, String>);

/// Serves a [`GenericProcess`](crate::GenericProcess): reads requests from standard input and writes replies to standard output, until the input ends.
///
/// Call it in the child's `main`. Nothing else may write to standard output. A panic in `serve` is printed and becomes the call's error; a
/// program that wants its object anew after that makes it in `serve`.
///
/// # Errors
/// The system's, or a request that cannot be read.
///
/// ```no_run
/// // The program `counter`.
/// fn main() -> std::io::Result<()> {
///     let mut total = 0;
///     poe_tools::serve_process(|n: u64| -> Result<u64, std::num::TryFromIntError> {
///         total += n;
///         Ok(total)
///     })
/// }
/// ```
pub fn serve_process<Q, R, E>(serve: impl FnMut(Q) -> Result<R, E>) -> io::Result<()>
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
    E: fmt::Display,
{
    serve_process_on(io::stdin().lock(), io::stdout().lock(), serve)
}

/// The same on other streams.
///
/// # Errors
/// As [`serve_process`].
pub fn serve_process_on<Q, R, E>(
    mut input: impl Read,
    mut output: impl Write,
    mut serve: impl FnMut(Q) -> Result<R, E>,
) -> io::Result<()>
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
    E: fmt::Display,
{
    let limits = ReferenceLimits {
        // The parent decides how large a request may be.
        max_frame: 1 << 30,
        max_items: 1 << 30,
        ..ReferenceLimits::default()
    };
    let mut requests = Reference::new(Storable::<Request<Q>>::new()).limits(limits);
    let mut replies = Reference::new(Storable::<Reply<R>>::new()).limits(limits);
    let (mut block, mut out) = (vec![0; 64 * 1024], BytesMut::new());
    loop {
        while let Some((number, request)) = requests.next_record().map_err(io::Error::other)? {
            let reply = match caught(|| serve(request)) {
                Ok(reply) => reply.map_err(|error| error.to_string()),
                Err(text) => Err(format!("panicked: {text}")),
            };
            if let Err(error) = replies.put((number, reply), &mut out) {
                let text = format!("the reply cannot be sent: {error}");
                replies.put((number, Err(text)), &mut out).map_err(io::Error::other)?;
            }
            output.write_all(&out)?;
            output.flush()?;
            out.clear();
        }
        match input.read(&mut block)? {
            0 => return Ok(()),
            count => requests.feed(&block[..count]),
        }
    }
}
