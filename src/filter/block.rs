//! POE::Filter::Block: frames of a fixed size, or frames with a length before each.

use super::buffer::Buffer;
use super::{Filter, FilterError};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::sync::Arc;

/// The limits of a [`Block`] filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLimits {
    /// The longest frame in bytes, without its header; default 16 MiB.
    ///
    /// A longer one is a fatal error. Frames of a fixed size have no such limit.
    pub max_length: usize,
    /// The most bytes that may wait to be parsed; more is a fatal error.
    ///
    /// `None`, the default, is 32 MiB, or twice the longest frame if that is more. A wheel never has more waiting than
    /// the beginning of a frame and one read.
    pub max_buffer: Option<usize>,
}

impl Default for BlockLimits {
    fn default() -> Self {
        BlockLimits {
            max_length: 16 * 1024 * 1024,
            max_buffer: None,
        }
    }
}

impl BlockLimits {
    /// Returns the limit of the buffer, given or derived from the size of a frame.
    fn buffer(&self, frame: usize) -> usize {
        let two = frame.saturating_add(MAX_DIGITS).saturating_mul(2);
        self.max_buffer.unwrap_or(two.max(32 * 1024 * 1024))
    }
}

/// A length never needs more digits than this before the NUL.
const MAX_DIGITS: usize = 32;

/// Cuts a stream into frames (`POE::Filter::Block`); records are [`Bytes`], in both directions.
///
/// [`Block::new()`] has a length before each frame, by default in decimal and ended by a NUL, as in POE;
/// [`Block::fixed()`] has frames of one size. A frame's header stays in the buffer until the frame is complete, so
/// nothing is lost when the filter is changed in the middle of a frame.
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Block, Filter};
/// let (mut filter, mut out) = (Block::new(), BytesMut::new());
/// filter.put("hello".into(), &mut out).unwrap();
/// assert_eq!(&out[..], b"5\0hello");
/// filter.feed(b"5\0hello3\0ab");
/// assert_eq!(filter.next_record().unwrap().unwrap(), "hello");
/// assert!(filter.next_record().unwrap().is_none() && filter.pending() == b"3\0ab");
/// ```
///
/// # Junk in place of a length
///
/// Bytes that are not digits, and digits that are followed by a byte other than NUL, are an error that is not fatal. The bytes up to
/// the next digit are dropped, and parsing goes on there. (POE drops them with a warning, and stalls
/// for ever on the digits.) A codec of your own decides for itself.
///
/// # Limits
///
/// A frame whose length is above [`max_length`](Self::max_length) is a fatal error, which every further `next_record`
/// repeats: the stream cannot be trusted any more. (POE delivers the frame with the next read.) The error carries the
/// header, and the bytes received so far stay pending. More than [`max_buffer`](Self::max_buffer) waiting bytes are a fatal
/// error, too, after the complete frames in the bytes that fit.
#[doc(alias = "POE::Filter::Block")]
pub struct Block {
    buffer: Buffer,
    framing: Framing,
    limits: BlockLimits,
    /// The user set the longest frame, which fixed frames do not allow.
    limited: bool,
    /// The sizes of the front header and its payload, once the header is complete.
    header: Option<(usize, usize)>,
    /// Junk was reported; its rest is dropped as it arrives.
    skipping: bool,
    /// The frame at the front is too long. Cleared only in `take_pending`.
    poisoned: bool,
    /// Bytes were refused. Cleared only in `take_pending`.
    overflowed: bool,
}

#[derive(Clone)]
enum Framing {
    Fixed(usize),
    Decimal,
    Custom(Arc<dyn LengthCodec>),
}

/// The encoding of a frame's length (`LengthCodec`). A pair of closures implements it.
///
/// ```
/// use bytes::{BufMut, BytesMut};
/// use poe::filter::{Block, FilterExt};
/// let codec = (
///     |length: usize, out: &mut BytesMut| out.put_u16(length as u16),
///     |bytes: &[u8]| Ok(bytes.first_chunk().map(|length| (2, u16::from_be_bytes(*length).into()))),
/// );
/// let mut filter = Block::new().length_codec(codec).max_length(65_535);
/// assert_eq!(filter.get(b"\0\x02ab\0").remove(0).unwrap(), "ab");
/// ```
///
/// A length that cannot be decoded is an error of `decode`.
pub trait LengthCodec: Send + Sync + 'static {
    /// Writes the header of a frame whose payload has `length` bytes.
    fn encode(&self, length: usize, out: &mut BytesMut);

    /// Reads the header at the front: its own size and the payload's; `None` when it is not complete.
    ///
    /// # Errors
    /// No header begins like this. The error's [`bytes`](FilterError::bytes) are removed from the front, and
    /// at least one byte, unless it [is fatal](FilterError::is_fatal).
    fn decode(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, FilterError>;
}

impl<E, D> LengthCodec for (E, D)
where
    E: Fn(usize, &mut BytesMut) + Send + Sync + 'static,
    D: Fn(&[u8]) -> Result<Option<(usize, usize)>, FilterError> + Send + Sync + 'static,
{
    fn encode(&self, length: usize, out: &mut BytesMut) {
        self.0(length, out);
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, FilterError> {
        self.1(bytes)
    }
}

/// The default codec of [`Block::new`]: the length in decimal digits, and a NUL.
#[derive(Clone, Copy, Debug, Default)]
struct DecimalLength;

impl LengthCodec for DecimalLength {
    fn encode(&self, length: usize, out: &mut BytesMut) {
        put_decimal(length, out);
        out.extend_from_slice(b"\0");
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, FilterError> {
        let mut length = 0_usize;
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'0'..=b'9' if at < MAX_DIGITS => {
                    length = length.saturating_mul(10).saturating_add((byte - b'0').into());
                }
                0 if at > 0 => return Ok(Some((at + 1, length))),
                _ => {
                    let junk = Bytes::copy_from_slice(&bytes[..=at]);
                    return Err(FilterError::custom("the bytes before the frame are not a length").with_bytes(junk));
                }
            }
        }
        Ok(None)
    }
}

/// Writes a number in decimal digits.
fn put_decimal(mut number: usize, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // The remainder of ten is a digit.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

impl Block {
    /// Makes frames with a decimal length and a NUL before them, of at most 16 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::framed(Framing::Decimal)
    }

    /// Makes frames of `bytes` bytes each.
    ///
    /// `put` neither pads nor cuts a record. Zero is an error at [`check`](Filter::check).
    #[must_use]
    #[doc(alias = "BlockSize")]
    pub fn fixed(bytes: usize) -> Self {
        Self::framed(Framing::Fixed(bytes))
    }

    /// Writes and reads lengths with another codec; see [`LengthCodec`].
    ///
    /// If the codec has no room for 16 MiB, set the longest frame with [`max_length`](Self::max_length): `put` does not check it.
    #[must_use]
    #[doc(alias = "LengthCodec")]
    pub fn length_codec(mut self, codec: impl LengthCodec) -> Self {
        self.framing = Framing::Custom(Arc::new(codec));
        self
    }

    /// Sets all limits; [`BlockLimits`] has the defaults.
    #[must_use]
    pub fn limits(mut self, limits: BlockLimits) -> Self {
        self.limited = limits.max_length != BlockLimits::default().max_length;
        self.limits = limits;
        self
    }

    /// Sets the longest frame in bytes, without its header; default 16 MiB.
    ///
    /// Zero is an error at [`check`](Filter::check), and so is any limit for frames of a fixed size.
    #[must_use]
    #[doc(alias = "MaxLength")]
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.limits.max_length = bytes;
        self.limited = true;
        self
    }

    /// Sets the most bytes that may wait to be parsed; default 32 MiB, or twice the longest frame.
    ///
    /// It is an error at [`check`](Filter::check) if a frame of the maximum length with a decimal header (or one of the fixed size)
    /// does not fit.
    #[must_use]
    #[doc(alias = "MaxBuffer")]
    pub fn max_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_buffer = Some(bytes);
        self
    }

    /// Returns the limit of the buffer, given or derived.
    fn buffer_limit(&self) -> usize {
        match self.framing {
            Framing::Fixed(size) => self.limits.buffer(size),
            _ => self.limits.buffer(self.limits.max_length),
        }
    }

    fn framed(framing: Framing) -> Self {
        Block {
            buffer: Buffer::default(),
            framing,
            limits: BlockLimits::default(),
            limited: false,
            header: None,
            skipping: false,
            poisoned: false,
            overflowed: false,
        }
    }

    /// Returns the sizes of the header and of the payload at the front, if they are known.
    fn sizes(&mut self) -> Result<Option<(usize, usize)>, FilterError> {
        let codec: &dyn LengthCodec = match &self.framing {
            Framing::Fixed(size) => return Ok(Some((0, *size))),
            Framing::Decimal => &DecimalLength,
            Framing::Custom(codec) => &**codec,
        };
        if self.header.is_none() {
            if self.skipping {
                let bytes = self.buffer.as_slice();
                let junk = bytes.iter().take_while(|byte| !byte.is_ascii_digit()).count();
                self.skipping = junk == bytes.len();
                self.buffer.consume(junk);
            }
            let bytes = self.buffer.as_slice();
            if bytes.is_empty() {
                return Ok(None);
            }
            match codec.decode(bytes) {
                Ok(Some((0, 0))) => {
                    self.poisoned = true;
                    return Err(
                        FilterError::custom("the length codec returns empty frames without using a byte").fatal(),
                    );
                }
                Ok(header) => self.header = header,
                Err(error) if error.is_fatal() => {
                    self.poisoned = true;
                    return Err(error);
                }
                Err(error) => {
                    let junk = error.bytes().len().clamp(1, bytes.len());
                    self.buffer.consume(junk);
                    self.skipping = matches!(self.framing, Framing::Decimal);
                    return Err(error);
                }
            }
        }
        match self.header {
            Some((header, length)) if length > self.limits.max_length => {
                self.poisoned = true;
                let header = self.buffer.copy_front(header.min(self.buffer.len()));
                Err(FilterError::too_long(self.limits.max_length, header).fatal())
            }
            header => Ok(header),
        }
    }

    fn restart(&mut self) -> Bytes {
        self.header = None;
        self.skipping = false;
        self.poisoned = false;
        self.buffer.take()
    }
}

impl Filter for Block {
    type Input = Bytes;
    type Output = Bytes;

    fn feed(&mut self, mut bytes: &[u8]) {
        if self.overflowed || self.poisoned {
            return;
        }
        let room = self.buffer_limit().saturating_sub(self.buffer.len());
        if bytes.len() > room {
            self.overflowed = true;
            bytes = &bytes[..room];
        }
        self.buffer.append(bytes);
    }

    fn next_record(&mut self) -> Result<Option<Bytes>, FilterError> {
        self.check()?;
        match self.sizes()? {
            Some((header, length)) if self.buffer.len() >= header.saturating_add(length) => {
                self.header = None;
                self.buffer.consume(header);
                Ok(Some(self.buffer.take_front(length)))
            }
            _ if self.overflowed => Err(FilterError::overflow(self.buffer_limit(), self.restart())),
            _ => {
                self.buffer.release();
                Ok(None)
            }
        }
    }

    fn put(&mut self, record: Bytes, out: &mut BytesMut) -> Result<(), FilterError> {
        self.check()?;
        match &self.framing {
            Framing::Fixed(_) => {}
            Framing::Decimal => DecimalLength.encode(record.len(), out),
            Framing::Custom(codec) => codec.encode(record.len(), out),
        }
        out.extend_from_slice(&record);
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        self.buffer.as_slice()
    }

    fn take_pending(&mut self) -> Bytes {
        self.overflowed = false;
        self.restart()
    }

    fn fresh(&self) -> Self {
        Block {
            limits: self.limits,
            limited: self.limited,
            ..Self::framed(self.framing.clone())
        }
    }

    fn check(&self) -> Result<(), FilterError> {
        let (max_length, max_buffer) = (self.limits.max_length, self.buffer_limit());
        let digits = max_length.checked_ilog10().unwrap_or(0) as usize + 1;
        let fault = match &self.framing {
            Framing::Fixed(0) => "a block needs at least one byte",
            Framing::Fixed(_) if self.limited => "blocks of a fixed size have no maximum length",
            Framing::Fixed(size) if max_buffer < *size => "the buffer's limit must be at least a block",
            Framing::Fixed(_) => return Ok(()),
            _ if max_length == 0 || max_buffer == 0 => "a limit must be at least one byte",
            _ if max_buffer < max_length.saturating_add(digits + 1) => {
                "the buffer's limit must be at least the limit of a block and its header"
            }
            _ => return Ok(()),
        };
        Err(FilterError::invalid_setting(fault))
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let framing: &dyn fmt::Debug = match &self.framing {
            Framing::Fixed(size) => size,
            Framing::Decimal => &"decimal and NUL",
            Framing::Custom(_) => &"custom",
        };
        f.debug_struct("Block")
            .field("framing", framing)
            .field("pending", &self.buffer.len())
            .field("header", &self.header)
            .field("poisoned", &self.poisoned)
            .field("overflowed", &self.overflowed)
            .field("max_length", &self.limits.max_length)
            .field("max_buffer", &self.buffer_limit())
            .finish()
    }
}
