//! An image parsed and checked, in one pass without recursion, into a flat list.
//!
//! Whatever reads the list afterwards cannot run past the end of the image, and every index in the list is valid.

use crate::error::Error;
use crate::settings::Settings;

/// The codes that an item begins with, and the flags of hashes, as Storable numbers them.
pub(crate) mod code {
    pub(crate) const OBJECT: u8 = 0x00;
    pub(crate) const LSCALAR: u8 = 0x01;
    pub(crate) const ARRAY: u8 = 0x02;
    pub(crate) const HASH: u8 = 0x03;
    pub(crate) const REF: u8 = 0x04;
    pub(crate) const UNDEF: u8 = 0x05;
    pub(crate) const INTEGER: u8 = 0x06;
    pub(crate) const DOUBLE: u8 = 0x07;
    pub(crate) const BYTE: u8 = 0x08;
    pub(crate) const NETINT: u8 = 0x09;
    pub(crate) const SCALAR: u8 = 0x0a;
    pub(crate) const TIED_ARRAY: u8 = 0x0b;
    pub(crate) const TIED_HASH: u8 = 0x0c;
    pub(crate) const TIED_SCALAR: u8 = 0x0d;
    pub(crate) const SV_UNDEF: u8 = 0x0e;
    pub(crate) const SV_YES: u8 = 0x0f;
    pub(crate) const SV_NO: u8 = 0x10;
    pub(crate) const BLESS: u8 = 0x11;
    pub(crate) const IX_BLESS: u8 = 0x12;
    pub(crate) const HOOK: u8 = 0x13;
    pub(crate) const OVERLOAD: u8 = 0x14;
    pub(crate) const TIED_KEY: u8 = 0x15;
    pub(crate) const TIED_IDX: u8 = 0x16;
    pub(crate) const UTF8STR: u8 = 0x17;
    pub(crate) const LUTF8STR: u8 = 0x18;
    pub(crate) const FLAG_HASH: u8 = 0x19;
    pub(crate) const CODE: u8 = 0x1a;
    pub(crate) const WEAKREF: u8 = 0x1b;
    pub(crate) const WEAKOVERLOAD: u8 = 0x1c;
    pub(crate) const VSTRING: u8 = 0x1d;
    pub(crate) const LVSTRING: u8 = 0x1e;
    pub(crate) const SVUNDEF_ELEM: u8 = 0x1f;
    pub(crate) const REGEXP: u8 = 0x20;
    pub(crate) const LOBJECT: u8 = 0x21;
    pub(crate) const BOOLEAN_TRUE: u8 = 0x22;
    pub(crate) const BOOLEAN_FALSE: u8 = 0x23;

    /// Major version 2, network order; and the minor version that the images we write are of.
    pub(crate) const HEADER: [u8; 2] = [0x05, 0x0b];
    /// Stands before the header in what `nstore` writes to a file.
    pub(crate) const FILE_MAGIC: &[u8] = b"pst0";

    pub(crate) const HASH_LOCKED: u8 = 0x01;
    pub(crate) const KEY_UTF8: u8 = 0x01;
    pub(crate) const KEY_WAS_UTF8: u8 = 0x02;
    pub(crate) const KEY_LOCKED: u8 = 0x04;
    pub(crate) const KEY_IS_ITEM: u8 = 0x08;
    pub(crate) const KEY_PLACEHOLDER: u8 = 0x10;
}

/// One item, or one of the marks between items. 32 bytes: an image can be a list of items of one byte each.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) kind: Kind<'a>,
    /// The index of the first node behind the item and everything inside it.
    pub(crate) next: u32,
    /// Where in the image its bytes begin.
    start: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    Undef,
    /// The immortal undef: a hole, or what `\undef` refers to.
    Hole,
    /// The same as an element that was put there.
    HoleElement,
    Bool(bool),
    Int(i64),
    /// Only images in native order have floats; others have text in their place.
    Float(f64),
    Bytes(&'a [u8]),
    Text(&'a str),
    /// This many items follow.
    Array(u32),
    /// This many pairs of an item and a `Key` follow.
    Hash {
        count: u32,
        flags: u8,
    },
    /// Its referent follows.
    Ref {
        weak: bool,
        overload: bool,
    },
    /// The pattern and the modifiers follow, as `Bytes` that are no items of their own.
    Regexp,
    /// An earlier item, by its index in the list.
    Same(u32),
    /// The class, by its index in `classes`, of the item that follows.
    Class(u32),
    /// How the version string that follows was written.
    Version(&'a [u8]),
    Key {
        flags: u8,
        bytes: &'a [u8],
    },
}

impl Kind<'_> {
    pub(crate) fn is_undef(self) -> bool {
        matches!(self, Kind::Undef | Kind::Hole | Kind::HoleElement)
    }
}

pub(crate) struct Image<'a> {
    bytes: &'a [u8],
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) classes: Vec<&'a [u8]>,
    order: Order,
    /// Where the image ends.
    end: usize,
}

impl<'a> Image<'a> {
    pub(crate) fn parse(bytes: &'a [u8], settings: &Settings) -> Result<Self, Error> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Error::too_large("the image is longer than 4 GiB"));
        }
        let mut parser = Parser {
            bytes,
            order: Order::Network,
            begins: 0,
            at: 0,
            nodes: Vec::new(),
            tags: Vec::new(),
            classes: Vec::new(),
            open: Vec::new(),
            max_depth: settings.max_depth,
            max_items: settings.max_items,
        };
        parser.header()?;
        parser.items()?;
        if settings.strict && parser.at < bytes.len() {
            return Err(Error::malformed("bytes follow the image", parser.at));
        }
        Ok(Image {
            bytes,
            nodes: parser.nodes,
            classes: parser.classes,
            order: parser.order,
            end: parser.at,
        })
    }

    /// Whether the node `at` is inside the item `target`: a reference from there closes a circle.
    pub(crate) fn encloses(&self, target: u32, at: usize) -> bool {
        (target as usize) < at && at < self.nodes[target as usize].next as usize
    }

    /// The item behind references, class names and sharing, and the class of it. Sets `again` when the way leads to an
    /// earlier item, and calls `step` before each step. `cycles` allows that it leads to a container around the place.
    pub(crate) fn resolve(
        &self,
        mut at: usize,
        cycles: bool,
        again: &mut bool,
        step: impl Fn(bool) -> Result<(), Error>,
    ) -> Result<(usize, Option<&'a [u8]>), Error> {
        let mut class = None;
        loop {
            step(*again)?;
            match self.nodes[at].kind {
                Kind::Ref { .. } => {
                    at += 1;
                    class = None;
                }
                Kind::Version(_) => at += 1,
                Kind::Class(index) => {
                    at += 1;
                    class = Some(self.classes[index as usize]);
                }
                // Every step leads to an earlier place, or to a container, so the steps come to an end.
                Kind::Same(earlier)
                    if self.encloses(earlier, at)
                        && !(cycles
                            && matches!(self.nodes[earlier as usize].kind, Kind::Array(_) | Kind::Hash { .. })) =>
                {
                    return Err(Error::cyclic("the data contains itself"));
                }
                Kind::Same(earlier) => {
                    *again = true;
                    at = self.whole(earlier as usize);
                    class = None;
                }
                _ => return Ok((at, class)),
            }
        }
    }

    /// The node with which an item begins: class names and version marks stand before the item that is numbered.
    pub(crate) fn whole(&self, mut at: usize) -> usize {
        while let Some(before) = at.checked_sub(1)
            && matches!(self.nodes[before].kind, Kind::Class(_) | Kind::Version(_))
        {
            at = before;
        }
        at
    }

    /// The bytes of an item, if they mean the same in an image of its own: it names no class and no other item, and has
    /// nothing that depends on the header.
    pub(crate) fn own_bytes(&self, at: usize) -> Option<&'a [u8]> {
        let next = self.nodes[at].next as usize;
        let depends = |node: &Node<'_>| matches!(node.kind, Kind::Same(_) | Kind::Class(_) | Kind::Bool(_));
        if self.order != Order::Network || self.nodes[at..next].iter().any(depends) {
            return None;
        }
        let end = self.nodes.get(next).map_or(self.end, |node| node.start as usize);
        self.bytes.get(self.nodes[at].start as usize..end)
    }
}

/// How numbers are written: portably, or as the machine had them that wrote the image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    /// `nfreeze` and `nstore`.
    Network,
    /// `freeze` and `store`: big-endian or not, the bytes of an integer, and of a float.
    Native { big: bool, integer: usize, float: usize },
}

struct Parser<'a> {
    bytes: &'a [u8],
    order: Order,
    at: usize,
    /// Where the item that is being read begins.
    begins: usize,
    nodes: Vec<Node<'a>>,
    /// Storable's numbers of items: which node each is.
    tags: Vec<u32>,
    classes: Vec<&'a [u8]>,
    /// The items that are not over yet, outermost first.
    open: Vec<Open>,
    max_depth: usize,
    max_items: usize,
}

struct Open {
    node: u32,
    left: u32,
    wants: Wants,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Items,
    /// Each item has a key behind it; with a byte of flags or without.
    Keys {
        flagged: bool,
    },
    /// What a class name or a version string stands before.
    Body,
    VersionBody,
}

impl<'a> Parser<'a> {
    fn header(&mut self) -> Result<(), Error> {
        if self.bytes.starts_with(code::FILE_MAGIC) {
            self.at = code::FILE_MAGIC.len();
        }
        let start = self.at;
        let major = self.byte()?;
        if major >> 1 != code::HEADER[0] >> 1 {
            let what = format!("an image of major version {}, not 2", major >> 1);
            return Err(Error::unsupported(what, start));
        }
        // A higher minor version is fine as long as the image uses no code that is unknown here.
        let minor = self.byte()?;
        if major & 1 == 0 {
            self.order = self.native(minor)?;
        }
        Ok(())
    }

    /// The rest of the header of an image in native order: byte order, and the sizes of int, long, pointers and floats.
    fn native(&mut self, minor: u8) -> Result<Order, Error> {
        let start = self.at;
        let length = self.byte()?;
        let order = self.take(length.into())?;
        let (big, integer) = match order {
            b"12345678" => (false, 8),
            b"1234" => (false, 4),
            b"87654321" => (true, 8),
            b"4321" => (true, 4),
            _ => {
                let what = format!("an image in the byte order \"{}\"", order.escape_ascii());
                return Err(Error::unsupported(what, start));
            }
        };
        let sizes = self.take(3)?;
        if sizes[0] != 4 {
            let what = format!("an image with integers of {} bytes as lengths, not 4", sizes[0]);
            return Err(Error::unsupported(what, start));
        }
        // Older images do not say; they are of doubles.
        let float = if minor >= 2 { self.byte()?.into() } else { 8 };
        Ok(Order::Native { big, integer, float })
    }

    fn items(&mut self) -> Result<(), Error> {
        loop {
            if !self.item()? {
                // It is complete when its contents are.
                continue;
            }
            loop {
                let Some(open) = self.open.last_mut() else {
                    return Ok(());
                };
                open.left -= 1;
                let (node, left, wants) = (open.node, open.left, open.wants);
                if let Wants::Keys { flagged } = wants {
                    self.key(flagged)?;
                }
                if left > 0 {
                    break;
                }
                self.open.pop();
                self.nodes[node as usize].next = self.place()?;
            }
        }
    }

    /// Reads one code and its operands; returns whether the item is complete with that.
    fn item(&mut self) -> Result<bool, Error> {
        let start = self.at;
        self.begins = start;
        let item = self.byte()?;
        let wants = self.open.last().map(|open| open.wants);
        match (wants, item) {
            (Some(Wants::Body | Wants::VersionBody), code::OBJECT | code::BLESS | code::IX_BLESS) => {
                return Err(Error::malformed("a class name that stands before no item", start));
            }
            (Some(Wants::VersionBody), code::SCALAR | code::LSCALAR | code::UTF8STR | code::LUTF8STR) => {}
            (Some(Wants::VersionBody), _) => {
                return Err(Error::malformed("a version string without its string", start));
            }
            _ => {}
        }
        let kind = match item {
            code::OBJECT => {
                let tag = self.word()?;
                let Some(&node) = self.tags.get(tag as usize) else {
                    return Err(Error::malformed(
                        format!("a reference to item {tag}, which has not come yet"),
                        start,
                    ));
                };
                self.push(Kind::Same(node))?;
                return Ok(true);
            }
            code::BLESS => {
                let length = self.short_or_long()?;
                let name = self.take(length)?;
                let class = self.place_of(self.classes.len())?;
                self.classes.push(name);
                return self.prefix(Kind::Class(class), Wants::Body);
            }
            code::IX_BLESS => {
                let class = self.short_or_long()?;
                if class as usize >= self.classes.len() {
                    return Err(Error::malformed(
                        format!("class number {class}, which has not come yet"),
                        start,
                    ));
                }
                return self.prefix(Kind::Class(class), Wants::Body);
            }
            code::VSTRING | code::LVSTRING => {
                let length = self.length(item == code::LVSTRING)?;
                let version = self.take(length)?;
                return self.prefix(Kind::Version(version), Wants::VersionBody);
            }
            code::ARRAY => {
                let count = self.count()?;
                return self.container(Kind::Array(count), count, 1, Wants::Items);
            }
            code::HASH => {
                let count = self.count()?;
                let wants = Wants::Keys { flagged: false };
                return self.container(Kind::Hash { count, flags: 0 }, count, 5, wants);
            }
            code::FLAG_HASH => {
                let flags = self.byte()?;
                let count = self.count()?;
                let wants = Wants::Keys { flagged: true };
                return self.container(Kind::Hash { count, flags }, count, 6, wants);
            }
            code::REF | code::OVERLOAD | code::WEAKREF | code::WEAKOVERLOAD => {
                let kind = Kind::Ref {
                    weak: matches!(item, code::WEAKREF | code::WEAKOVERLOAD),
                    overload: matches!(item, code::OVERLOAD | code::WEAKOVERLOAD),
                };
                return self.container(kind, 1, 1, Wants::Items);
            }
            code::REGEXP => return self.regexp(),
            code::UNDEF => Kind::Undef,
            code::SV_UNDEF => Kind::Hole,
            code::SVUNDEF_ELEM => Kind::HoleElement,
            code::SV_YES | code::BOOLEAN_TRUE => Kind::Bool(true),
            code::SV_NO | code::BOOLEAN_FALSE => Kind::Bool(false),
            code::BYTE => Kind::Int(i64::from(self.byte()?) - 128),
            code::NETINT => Kind::Int(self.word()?.cast_signed().into()),
            code::INTEGER | code::DOUBLE => self.native_number(item, start)?,
            code::SCALAR | code::LSCALAR => {
                let length = self.length(item == code::LSCALAR)?;
                Kind::Bytes(self.take(length)?)
            }
            code::UTF8STR | code::LUTF8STR => {
                let length = self.length(item == code::LUTF8STR)?;
                Kind::Text(self.text(length)?)
            }
            _ => return Err(Error::unsupported(refusal(item), start)),
        };
        self.tag()?;
        self.push(kind)?;
        Ok(true)
    }

    fn regexp(&mut self) -> Result<bool, Error> {
        let long = self.byte()? & 1 != 0;
        let length = self.length(long)?;
        let pattern = self.take(length)?;
        let length = self.length(false)?;
        let modifiers = self.take(length)?;
        self.tag()?;
        let node = self.push(Kind::Regexp)?;
        self.push(Kind::Bytes(pattern))?;
        self.push(Kind::Bytes(modifiers))?;
        self.nodes[node as usize].next = self.place()?;
        Ok(true)
    }

    fn prefix(&mut self, kind: Kind<'a>, wants: Wants) -> Result<bool, Error> {
        let node = self.push(kind)?;
        self.enter(node, 1, wants)
    }

    /// Each of its `count` items takes at least `least` bytes, so a wrong count is found before memory is reserved for it.
    fn container(&mut self, kind: Kind<'a>, count: u32, least: u64, wants: Wants) -> Result<bool, Error> {
        if u64::from(count) * least > (self.bytes.len() - self.at) as u64 {
            return Err(Error::truncated(self.at));
        }
        self.tag()?;
        let node = self.push(kind)?;
        if count == 0 {
            return Ok(true);
        }
        self.enter(node, count, wants)
    }

    fn enter(&mut self, node: u32, left: u32, wants: Wants) -> Result<bool, Error> {
        if self.open.len() >= self.max_depth {
            return Err(Error::too_deep(self.max_depth));
        }
        self.open.push(Open { node, left, wants });
        Ok(false)
    }

    fn key(&mut self, flagged: bool) -> Result<(), Error> {
        let start = self.at;
        self.begins = start;
        let flags = if flagged { self.byte()? } else { 0 };
        if flags & code::KEY_IS_ITEM != 0 {
            return Err(Error::unsupported("a hash key that is an item of its own", start));
        }
        let length = self.count()?;
        let bytes = if flags & code::KEY_UTF8 != 0 {
            self.text(length)?.as_bytes()
        } else {
            self.take(length)?
        };
        self.push(Kind::Key { flags, bytes })?;
        Ok(())
    }

    /// Numbers the item whose node comes next.
    fn tag(&mut self) -> Result<(), Error> {
        let node = self.place()?;
        self.tags.push(node);
        Ok(())
    }

    fn push(&mut self, kind: Kind<'a>) -> Result<u32, Error> {
        if self.nodes.len() >= self.max_items {
            return Err(Error::too_large(format!(
                "the image has more than {} items",
                self.max_items
            )));
        }
        let node = self.place()?;
        let next = self.place_of(self.nodes.len() + 1)?;
        // The image is not longer than 4 GiB.
        let start = self.begins as u32;
        self.nodes.push(Node { kind, next, start });
        Ok(node)
    }

    fn place(&self) -> Result<u32, Error> {
        self.place_of(self.nodes.len())
    }

    fn place_of(&self, index: usize) -> Result<u32, Error> {
        u32::try_from(index).map_err(|_| Error::malformed("more than four billion items", self.at))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let Some(&byte) = self.bytes.get(self.at) else {
            return Err(Error::truncated(self.at));
        };
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<u32, Error> {
        let Some(word) = self.bytes[self.at..].first_chunk() else {
            return Err(Error::truncated(self.at));
        };
        self.at += 4;
        Ok(u32::from_be_bytes(*word))
    }

    /// A count or a length, in the order that the header says.
    fn count(&mut self) -> Result<u32, Error> {
        let count = self.word()?;
        let little = matches!(self.order, Order::Native { big: false, .. });
        Ok(if little { count.swap_bytes() } else { count })
    }

    fn length(&mut self, long: bool) -> Result<u32, Error> {
        if long { self.count() } else { self.byte().map(u32::from) }
    }

    /// A number of seven bits, or one of 32 behind a byte with the eighth set.
    fn short_or_long(&mut self) -> Result<u32, Error> {
        let byte = self.byte()?;
        if byte & 0x80 == 0 { Ok(byte.into()) } else { self.word() }
    }

    /// An integer or a float as the machine had it that wrote the image.
    fn native_number(&mut self, item: u8, start: usize) -> Result<Kind<'a>, Error> {
        let (big, size) = match self.order {
            Order::Native { big, integer, .. } if item == code::INTEGER => (big, integer),
            Order::Native { big, float, .. } => (big, float),
            Order::Network => return Err(Error::malformed("a number in native order in a portable image", start)),
        };
        if size != 4 && size != 8 || item == code::DOUBLE && size == 4 {
            return Err(Error::unsupported(format!("a float of {size} bytes"), start));
        }
        let mut bytes = [0; 8];
        let digits = self.take(size as u32)?;
        bytes[..size].copy_from_slice(digits);
        if big {
            bytes[..size].reverse();
        }
        let number = u64::from_le_bytes(bytes);
        Ok(match item {
            code::DOUBLE => Kind::Float(f64::from_bits(number)),
            _ if size == 4 => Kind::Int((number as u32).cast_signed().into()),
            _ => Kind::Int(number.cast_signed()),
        })
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], Error> {
        let Some(bytes) = self.bytes[self.at..].get(..length as usize) else {
            return Err(Error::truncated(self.at));
        };
        self.at += bytes.len();
        Ok(bytes)
    }

    fn text(&mut self, length: u32) -> Result<&'a str, Error> {
        let start = self.at;
        let bytes = self.take(length)?;
        str::from_utf8(bytes).map_err(|cause| Error::malformed(format!("a character string: {cause}"), start))
    }
}

/// The error text for a code that is not supported.
fn refusal(item: u8) -> String {
    let what = match item {
        code::TIED_ARRAY | code::TIED_HASH | code::TIED_SCALAR | code::TIED_KEY | code::TIED_IDX => "a tied variable",
        code::HOOK => "an object that froze itself with a hook of its class",
        code::CODE => "code",
        code::LOBJECT => "an object of more than 2 GiB",
        _ => return format!("the code {item:#04x} is unknown"),
    };
    format!("the image holds {what}, which has no meaning outside the Perl program that wrote it")
}
