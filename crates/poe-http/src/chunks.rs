//! Chunked bodies: chunks, each with its size, and trailers.

use crate::incoming::HttpdLimits;
use httparse::{EMPTY_HEADER, Status, parse_headers};

/// More trailers than this are refused.
const MAX_TRAILERS: usize = 32;

/// A size with more digits than this is refused.
const MAX_DIGITS: usize = 16;

/// How far a chunked body was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Chunks {
    #[default]
    Size,
    Data {
        left: u64,
    },
    /// The newline after a chunk.
    Newline,
    /// How far the search for the end of the trailers has come.
    Trailers {
        scanned: usize,
    },
}

/// The piece at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// More bytes are needed.
    More,
    /// The number of framing bytes, and the size of the chunk that follows.
    Framing(usize, u64),
    /// The number of body bytes.
    Data(usize),
    /// The number of framing bytes that end the body.
    End(usize),
}

impl Chunks {
    /// Looks at the bytes that follow the last piece. An error says why they are invalid.
    pub(crate) fn next(&mut self, bytes: &[u8], limits: &HttpdLimits) -> Result<Piece, &'static str> {
        match *self {
            Chunks::Size => match size_line(bytes, limits.max_chunk_line)? {
                Some((line, 0)) => {
                    *self = Chunks::Trailers { scanned: 0 };
                    Ok(Piece::Framing(line, 0))
                }
                Some((line, size)) => {
                    *self = Chunks::Data { left: size };
                    Ok(Piece::Framing(line, size))
                }
                None => Ok(Piece::More),
            },
            Chunks::Data { left } => {
                let here = left.min(bytes.len() as u64);
                if here == 0 {
                    return Ok(Piece::More);
                }
                *self = match left - here {
                    0 => Chunks::Newline,
                    left => Chunks::Data { left },
                };
                // It is at most the slice's length.
                Ok(Piece::Data(here as usize))
            }
            Chunks::Newline => match bytes {
                [] | [b'\r'] => Ok(Piece::More),
                [b'\r', b'\n', ..] => {
                    *self = Chunks::Size;
                    Ok(Piece::Framing(2, 0))
                }
                _ => Err("A chunk is longer than its size."),
            },
            Chunks::Trailers { scanned } => {
                let Some(size) = trailers_end(bytes, scanned)? else {
                    *self = Chunks::Trailers { scanned: bytes.len() };
                    if bytes.len() > limits.max_trailers {
                        return Err("The trailers are too long.");
                    }
                    return Ok(Piece::More);
                };
                if size > limits.max_trailers {
                    return Err("The trailers are too long.");
                }
                let mut trailers = [EMPTY_HEADER; MAX_TRAILERS];
                match parse_headers(&bytes[..size], &mut trailers) {
                    Ok(Status::Complete((size, _))) => Ok(Piece::End(size)),
                    Ok(Status::Partial) | Err(_) => Err("The trailers cannot be read."),
                }
            }
        }
    }
}

/// Reads the line with a chunk's size; extensions are ignored.
///
/// It must end in CR LF and contain no control character: a reader that ends lines at a bare LF would see other chunks, and
/// other requests after them.
fn size_line(bytes: &[u8], limit: usize) -> Result<Option<(usize, u64)>, &'static str> {
    const TOO_LONG: &str = "The line of a chunk's size is too long.";
    const CONTROL: &str = "There is a control character in the line of a chunk's size.";
    let (mut size, mut digits, mut extended) = (0_u64, 0, false);
    for (at, &byte) in bytes.iter().enumerate() {
        if at >= limit {
            return Err(TOO_LONG);
        }
        match byte {
            b'\r' if digits > 0 => {
                return match bytes.get(at + 1) {
                    None => Ok(None),
                    Some(b'\n') if at + 2 > limit => Err(TOO_LONG),
                    Some(b'\n') => Ok(Some((at + 2, size))),
                    Some(_) => Err(CONTROL),
                };
            }
            b'\t' | b' ' if digits > 0 => {}
            _ if byte < b' ' || byte == 0x7f => {
                return Err(if digits == 0 { "A chunk has no size." } else { CONTROL });
            }
            b';' if digits > 0 => extended = true,
            _ if extended => {}
            _ => match char::from(byte).to_digit(16) {
                Some(digit) if digits < MAX_DIGITS && !matches!(bytes[..at].last(), Some(b' ' | b'\t')) => {
                    size = size << 4 | u64::from(digit);
                    digits += 1;
                }
                _ => return Err("A chunk has no size."),
            },
        }
    }
    Ok(None)
}

/// Returns where the trailers end: after an empty line.
///
/// Their lines must end in CR LF, like that of a size: a reader that needs the CR would continue the body, and take the next
/// request for a trailer.
fn trailers_end(bytes: &[u8], from: usize) -> Result<Option<usize>, &'static str> {
    for newline in memchr::memchr_iter(b'\n', &bytes[from..]) {
        let at = from + newline;
        match &bytes[..at] {
            [b'\r'] | [.., b'\r', b'\n', b'\r'] => return Ok(Some(at + 1)),
            [.., b'\r'] => {}
            _ => return Err("A line of the trailers ends without CR."),
        }
    }
    Ok(None)
}
