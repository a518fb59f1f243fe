//! Payloads as one zlib stream (RFC 1950), with a limit on inflating.

use flate2::write::ZlibEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use std::io::{self, Write};

/// How much room is added at a time while the total is unknown.
const STEP: usize = 32 * 1024;

pub(super) fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Why a payload could not be inflated.
pub(super) enum Refused {
    /// It would be longer than the limit.
    TooLong,
    /// It is not a zlib stream.
    Bad(String),
}

/// Inflates a payload; never holds more than about twice the limit. Bytes after the stream are an error.
pub(super) fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Refused> {
    let mut stream = Decompress::new(true);
    let mut out = Vec::new();
    loop {
        // One byte of room beyond the limit tells "just as long" from "longer".
        let room = (limit - out.len()).saturating_add(1);
        out.reserve(STEP.min(room));
        let read = usize::try_from(stream.total_in()).map_or(bytes.len(), |read| read.min(bytes.len()));
        let (had, length) = (stream.total_in(), out.len());
        let status = stream.decompress_vec(&bytes[read..], &mut out, FlushDecompress::None);
        if out.len() > limit {
            return Err(Refused::TooLong);
        }
        match status {
            Ok(Status::StreamEnd) if (stream.total_in() as usize) < bytes.len() => {
                return Err(Refused::Bad("bytes follow the zlib stream in its frame".to_owned()));
            }
            Ok(Status::StreamEnd) => return Ok(out),
            Ok(_) if stream.total_in() == had && out.len() == length => {
                return Err(Refused::Bad("the zlib stream ends too early".to_owned()));
            }
            Ok(_) => {}
            Err(error) => return Err(Refused::Bad(format!("the payload is not a zlib stream: {error}"))),
        }
    }
}
