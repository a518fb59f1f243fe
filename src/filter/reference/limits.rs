//! The limits of a frame, and of what decoding makes of it.

use super::super::FilterError;
#[cfg(any(feature = "json", feature = "msgpack", feature = "cbor"))]
use std::cell::Cell;
use std::error::Error;
use std::fmt;

/// The limits of a [`Reference`](super::Reference) filter.
///
/// Set those that you need and leave the others at their defaults. Each limit bounds the memory that a peer can make this process
/// use.
///
/// ```
/// # #[cfg(feature = "json")] {
/// use poe::filter::{FilterExt, Json, Reference, ReferenceLimits};
/// let limits = ReferenceLimits { max_items: 3, ..ReferenceLimits::default() };
/// let mut filter = Reference::new(Json::<Vec<u8>>::new()).limits(limits);
/// assert_eq!(filter.get(b"7\0[1,2,3]").remove(0).unwrap(), [1, 2, 3]);
/// let error = filter.get(b"9\0[1,2,3,4]").remove(0).unwrap_err();
/// assert!(error.is_too_large() && !error.is_fatal());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceLimits {
    /// The longest payload of a frame in bytes; default 16 MiB. A longer frame is a fatal error as soon as its length has arrived.
    pub max_frame: usize,
    /// The most bytes that may wait to be parsed. `None`, the default, is twice a frame of the maximum length.
    pub max_buffer: Option<usize>,
    /// The most bytes that a compressed payload may inflate to; default 16 MiB.
    pub max_inflated: usize,
    /// The most elements, keys and values of a record, in all of its containers together; default 1 048 576.
    pub max_items: usize,
    /// How deep containers may be nested; 128. JSON never goes deeper than 127.
    ///
    /// An image of Storable has two levels for each container, because there is a reference between them; it is bounded by
    /// [`storable::Settings::max_depth`](crate::storable::Settings::max_depth) instead.
    pub max_depth: usize,
}

impl Default for ReferenceLimits {
    fn default() -> Self {
        ReferenceLimits {
            max_frame: 16 * 1024 * 1024,
            max_buffer: None,
            max_inflated: 16 * 1024 * 1024,
            max_items: 1024 * 1024,
            max_depth: 128,
        }
    }
}

impl ReferenceLimits {
    /// Returns the length of the longest frame's header: digits, and a NUL.
    fn header(frame: usize) -> usize {
        frame.checked_ilog10().unwrap_or(0) as usize + 2
    }

    /// Returns the limit of the buffer, given or derived.
    pub(super) fn buffer(&self) -> usize {
        let frame = self.max_frame.saturating_add(Self::header(self.max_frame));
        self.max_buffer.unwrap_or(frame.saturating_mul(2).max(128 * 1024))
    }

    /// Sets the buffer, and the longest frame that fits into it.
    pub(super) fn with_buffer(mut self, bytes: usize) -> Self {
        self.max_buffer = Some(bytes);
        self.max_frame = bytes.saturating_sub(Self::header(bytes));
        self
    }

    /// Returns the depth limit for a format's reader, which counts more than containers.
    #[cfg(any(feature = "msgpack", feature = "cbor"))]
    pub(super) fn reader_depth(&self) -> usize {
        self.max_depth.saturating_mul(2).saturating_add(1)
    }

    pub(super) fn check(&self) -> Result<(), FilterError> {
        if self.max_inflated == 0 || self.max_items == 0 || self.max_depth == 0 {
            return Err(FilterError::invalid_setting("a limit must be at least one"));
        }
        Ok(())
    }
}

/// Decoding would have exceeded a limit.
#[cfg_attr(not(any(feature = "json", feature = "msgpack", feature = "cbor")), allow(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Items(usize),
    Depth(usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exceeded::Items(limit) => write!(f, "the record has more than {limit} items (max_items)"),
            Exceeded::Depth(limit) => write!(f, "the record is nested deeper than {limit} levels (max_depth)"),
        }
    }
}

impl Error for Exceeded {}

/// Checks that a frame has only one record: other bytes after it must not be ignored.
#[cfg(any(feature = "msgpack", feature = "cbor"))]
pub(super) fn nothing_follows(rest: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
    match rest.len() {
        0 => Ok(()),
        bytes => Err(format!("{bytes} bytes follow the record in its frame").into()),
    }
}

/// What remains of the limits while one record is decoded.
#[cfg(any(feature = "json", feature = "msgpack", feature = "cbor"))]
pub(super) struct Budget {
    items: usize,
    left: Cell<usize>,
    depth: usize,
    exceeded: Cell<Option<Exceeded>>,
}

#[cfg(any(feature = "json", feature = "msgpack", feature = "cbor"))]
impl Budget {
    pub(super) fn new(limits: &ReferenceLimits, deepest: usize) -> Self {
        Budget {
            items: limits.max_items,
            left: Cell::new(limits.max_items),
            depth: limits.max_depth.min(deepest),
            exceeded: Cell::new(None),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.left.get()
    }

    /// Counts one item.
    pub(super) fn spend<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.exceed(Exceeded::Items(self.items))),
        }
    }

    /// Counts a container at this depth.
    pub(super) fn enter<E: serde::de::Error>(&self, depth: usize) -> Result<usize, E> {
        if depth >= self.depth {
            return Err(self.exceed(Exceeded::Depth(self.depth)));
        }
        Ok(depth + 1)
    }

    fn exceed<E: serde::de::Error>(&self, what: Exceeded) -> E {
        self.exceeded.set(Some(what));
        E::custom(what)
    }

    /// Replaces the format's error with the limit that was exceeded, if one was.
    ///
    /// `too_deep` recognizes the error of the format's own limit.
    pub(super) fn verdict<T, E>(
        &self,
        result: Result<T, E>,
        too_deep: impl FnOnce(&E) -> bool,
    ) -> Result<T, Box<dyn Error + Send + Sync>>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        result.map_err(|error| match self.exceeded.get() {
            Some(exceeded) => exceeded.into(),
            None if too_deep(&error) => Exceeded::Depth(self.depth).into(),
            None => error.into(),
        })
    }
}
