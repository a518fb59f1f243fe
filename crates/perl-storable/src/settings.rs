//! How images are written, and how much an image from elsewhere may demand.

/// The limits of `Settings::new()`.
mod default {
    pub(super) const MAX_DEPTH: usize = 512;
    pub(super) const MAX_ITEMS: usize = 1024 * 1024;
    pub(super) const MAX_SHARED: usize = 8 * 1024 * 1024;
}

/// How images are written and read. The functions of this crate use the defaults.
///
/// ```
/// use perl_storable::{Settings, Value};
/// use std::collections::HashMap;
/// let map: HashMap<&str, u8> = [("b", 2), ("a", 1), ("c", 3)].into();
/// let canonical = Settings::new().canonical(true);
/// let image = canonical.to_vec(&map).unwrap();
/// assert_eq!(image, canonical.to_vec(&map.into_iter().collect::<std::collections::BTreeMap<_, _>>()).unwrap());
///
/// let settings = Settings::new().strict(true).max_depth(32);
/// let image = settings.freeze(&Value::array([1.into(), "two".into()])).unwrap();
/// assert_eq!(settings.thaw(&image).unwrap().len(), Some(2));
/// assert_eq!(settings.from_slice::<(u8, String)>(&image).unwrap(), (1, "two".to_owned()));
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) canonical: bool,
    pub(crate) strict: bool,
    pub(crate) cycles: bool,
    pub(crate) latin1: bool,
    pub(crate) max_depth: usize,
    pub(crate) max_items: usize,
    pub(crate) max_shared: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            canonical: false,
            strict: false,
            cycles: false,
            latin1: false,
            max_depth: default::MAX_DEPTH,
            max_items: default::MAX_ITEMS,
            max_shared: default::MAX_SHARED,
        }
    }
}

impl Settings {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the keys of hashes in order, so that equal data has equal images (`$Storable::canonical`).
    ///
    /// The hashes of a [`Value`](crate::Value) are always in order. Typed data is written in the order in which serde
    /// gives it, unless this is set, which costs a second pass.
    #[must_use]
    #[doc(alias = "$Storable::canonical")]
    pub fn canonical(mut self, on: bool) -> Self {
        self.canonical = on;
        self
    }

    /// Rejects bytes after the image. Perl ignores them, and so does the default.
    ///
    /// ```
    /// use perl_storable::{Settings, from_slice};
    /// let bytes = b"\x05\x0b\x08\x87 and more";
    /// assert_eq!(from_slice::<u8>(bytes).unwrap(), 7);
    /// assert!(Settings::new().strict(true).from_slice::<u8>(bytes).is_err());
    /// ```
    #[must_use]
    pub fn strict(mut self, on: bool) -> Self {
        self.strict = on;
        self
    }

    /// Allows [`thaw`](Self::thaw) to make graphs that contain themselves, which otherwise are an error.
    ///
    /// Such a graph is never freed unless you call [`Value::unlink`](crate::Value::unlink), so a peer that you do not trust
    /// could fill the memory. Cycles through a weak reference are always allowed.
    ///
    /// ```
    /// use perl_storable::{Settings, thaw};
    /// let image = b"\x05\x0b\x02\0\0\0\x01\x04\0\0\0\0\0";
    /// assert!(thaw(image).unwrap_err().is_cyclic());
    /// let array = Settings::new().cycles(true).thaw(image).unwrap();
    /// assert!(array.get(0).unwrap().is_same(&array));
    /// array.unlink();
    /// ```
    #[must_use]
    pub fn cycles(mut self, on: bool) -> Self {
        self.cycles = on;
        self
    }

    /// Reads byte strings as Latin-1 text when a type asks for text: each byte is one character, as in Perl.
    ///
    /// By default a byte string must be UTF-8 to be read as text, which is how most programs exchange it. Perl itself
    /// takes a byte string as Latin-1, so set this when the peer sends text that it has not encoded. Keys of hashes
    /// follow the same rule. Types that ask for bytes get the bytes in any case.
    ///
    /// ```
    /// use perl_storable::{Settings, from_slice};
    /// let image = b"\x05\x0b\x0a\x04caf\xe9"; // nfreeze(\"caf\xe9")
    /// assert!(from_slice::<String>(image).is_err());
    /// let latin1 = Settings::new().latin1(true);
    /// assert_eq!(latin1.from_slice::<String>(image).unwrap(), "caf\u{e9}");
    /// ```
    #[must_use]
    pub fn latin1(mut self, on: bool) -> Self {
        self.latin1 = on;
        self
    }

    /// Sets how many levels data may be nested, in both directions; 512 by default.
    ///
    /// An array in an array is two levels, because there is a reference between them; a class name is one more. Typed
    /// data is read with recursion, so a much greater depth needs a larger stack.
    ///
    /// ```
    /// use perl_storable::Settings;
    /// let nested = [[1]];
    /// assert!(Settings::new().max_depth(3).to_vec(&nested).is_ok());
    /// assert!(Settings::new().max_depth(2).to_vec(&nested).unwrap_err().is_too_deep());
    /// ```
    #[must_use]
    pub fn max_depth(mut self, levels: usize) -> Self {
        self.max_depth = levels;
        self
    }

    /// Sets how many items an image may have when it is read; 1 048 576 by default.
    ///
    /// Scalars, containers, references and keys count. An item can take one byte of the image and many times that in memory.
    ///
    /// ```
    /// use perl_storable::Settings;
    /// let image = Settings::new().to_vec(&[1, 2, 3]).unwrap();
    /// assert!(Settings::new().max_items(4).thaw(&image).is_ok());
    /// assert!(Settings::new().max_items(3).thaw(&image).unwrap_err().is_too_large());
    /// ```
    #[must_use]
    pub fn max_items(mut self, items: usize) -> Self {
        self.max_items = items;
        self
    }

    /// Lowers [`max_items`](Self::max_items) to at most this; a limit that is lower already stays.
    ///
    /// ```
    /// use perl_storable::Settings;
    /// let settings = Settings::new().max_items(10).cap_items(1000);
    /// assert!(settings.thaw(b"\x05\x0b\x02\0\0\0\x0a\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05").unwrap_err().is_too_large());
    /// ```
    #[must_use]
    pub fn cap_items(mut self, items: usize) -> Self {
        self.max_items = self.max_items.min(items);
        self
    }

    /// Sets how many bytes typed data may take because it is read more than once; 8 MiB by default.
    ///
    /// Shared data is read once for each place, and shared data can share in turn, so an image of two kilobytes could
    /// become hundreds of megabytes. Each item that is read again counts 64 bytes and the length of its text.
    /// A [`Value`](crate::Value) keeps shared data shared, and needs no such limit.
    ///
    /// ```
    /// use perl_storable::{Settings, Value};
    /// let shared = Value::array([1.into(), 2.into()]);
    /// let image = Settings::new().freeze(&Value::array([shared.clone(), shared])).unwrap();
    /// assert_eq!(Settings::new().from_slice::<[[u8; 2]; 2]>(&image).unwrap(), [[1, 2], [1, 2]]);
    /// let error = Settings::new().max_shared(100).from_slice::<[[u8; 2]; 2]>(&image).unwrap_err();
    /// assert!(error.is_too_large());
    /// ```
    #[must_use]
    pub fn max_shared(mut self, bytes: usize) -> Self {
        self.max_shared = bytes;
        self
    }
}
