//! Bodies whose length is not known before their end: chunks, each with its size, and trailers.

use httparse::{EMPTY_HEADER, Status, parse_chunk_size, parse_headers};

/// The line with a chunk's size, and extensions that nobody uses.
const MAX_LINE: usize = 256;

/// All trailers together.
const MAX_TRAILERS: usize = 8 * 1024;

/// How far a body in chunks was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Chunks {
    #[default]
    Size,
    Data {
        left: u64,
    },
    /// The newline behind a chunk.
    Newline,
    Trailers,
}

/// What stands at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Too little to tell.
    More,
    /// So many octets of framing; then a chunk of this size.
    Framing(usize, u64),
    /// So many octets of the body.
    Data(usize),
    /// So many octets of framing, and the body is over.
    End(usize),
}

impl Chunks {
    /// Looks at octets that follow those of the last piece. An error says what is wrong with them.
    pub(super) fn next(&mut self, octets: &[u8]) -> Result<Piece, &'static str> {
        match *self {
            // To the parser, an empty line is a size of zero.
            Chunks::Size if octets.first().is_some_and(|octet| !octet.is_ascii_hexdigit()) => {
                Err("A chunk has no size.")
            }
            // No more than a line's length is looked at, so that the reason is the same however the line was cut.
            Chunks::Size => match parse_chunk_size(&octets[..octets.len().min(MAX_LINE + 1)]) {
                Ok(Status::Complete((line, _))) if line > MAX_LINE => Err("The line of a chunk's size is too long."),
                Ok(Status::Complete((line, 0))) => {
                    *self = Chunks::Trailers;
                    Ok(Piece::Framing(line, 0))
                }
                Ok(Status::Complete((line, size))) => {
                    *self = Chunks::Data { left: size };
                    Ok(Piece::Framing(line, size))
                }
                Ok(Status::Partial) if octets.len() > MAX_LINE => Err("The line of a chunk's size is too long."),
                Ok(Status::Partial) => Ok(Piece::More),
                Err(_) => Err("A chunk has no size."),
            },
            Chunks::Data { left } => {
                let here = left.min(octets.len() as u64);
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
            Chunks::Newline => match octets {
                [] | [b'\r'] => Ok(Piece::More),
                [b'\r', b'\n', ..] => {
                    *self = Chunks::Size;
                    Ok(Piece::Framing(2, 0))
                }
                _ => Err("A chunk is longer than its size."),
            },
            Chunks::Trailers => {
                let mut trailers = [EMPTY_HEADER; 32];
                match parse_headers(octets, &mut trailers) {
                    Ok(Status::Complete((size, _))) if size <= MAX_TRAILERS => Ok(Piece::End(size)),
                    Ok(Status::Partial) if octets.len() <= MAX_TRAILERS => Ok(Piece::More),
                    Ok(_) => Err("The trailers are too long."),
                    Err(_) => Err("The trailers cannot be read."),
                }
            }
        }
    }
}
