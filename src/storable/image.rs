//! An image parsed and checked, in one pass without recursion, into a flat list: what follows reads that and cannot run
//! past an end.

use super::code;
use super::error::Error;
use super::settings::Settings;

/// One item, or one of the marks between items. 32 bytes, for an image can be a list of items of one byte.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) kind: Kind<'a>,
    /// Where in the list the item is over, with all that it holds.
    pub(super) next: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    Undef,
    /// The immortal undef: a hole, or what `\undef` refers to.
    Hole,
    /// The same as an element that was put there.
    HoleElement,
    Bool(bool),
    Int(i32),
    Bytes(&'a [u8]),
    Text(&'a str),
    /// So many items follow.
    Array(u32),
    /// So many pairs of an item and a `Key` follow.
    Hash {
        count: u32,
        flags: u8,
    },
    /// What it refers to follows.
    Ref {
        weak: bool,
        overload: bool,
    },
    /// The pattern and the modifiers follow, as `Bytes` that are no items of their own.
    Regexp,
    /// An item that stood earlier, by its place in the list.
    Same(u32),
    /// The class, by its place in `classes`, of the item that follows.
    Class(u32),
    /// The text of the version string that follows.
    Version(&'a [u8]),
    Key {
        flags: u8,
        bytes: &'a [u8],
    },
}

pub(super) struct Image<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) classes: Vec<&'a [u8]>,
}

impl<'a> Image<'a> {
    pub(super) fn parse(bytes: &'a [u8], settings: &Settings) -> Result<Self, Error> {
        let mut parser = Parser {
            bytes,
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
            nodes: parser.nodes,
            classes: parser.classes,
        })
    }

    /// Whether what is at `at` stands inside the item at `target`: a reference from there closes a circle.
    pub(super) fn encloses(&self, target: u32, at: usize) -> bool {
        (target as usize) < at && at < self.nodes[target as usize].next as usize
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
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
        let major = self.byte()?;
        if major & 1 == 0 {
            let what = "an image in native byte order, made by freeze or store: nfreeze and nstore make portable ones";
            return Err(Error::unsupported(what, self.at - 1));
        }
        if major != code::HEADER[0] {
            let what = format!("an image of major version {}, not 2", major >> 1);
            return Err(Error::unsupported(what, self.at - 1));
        }
        // A higher minor version is fine as long as it uses no code that is unknown here.
        self.byte()?;
        Ok(())
    }

    fn items(&mut self) -> Result<(), Error> {
        loop {
            if !self.item()? {
                // It is complete as soon as what it holds is.
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

    /// Reads one code and what belongs to it; says whether the item is complete by that.
    fn item(&mut self) -> Result<bool, Error> {
        let start = self.at;
        let item = self.byte()?;
        let wants = self.open.last().map(|open| open.wants);
        match (wants, item) {
            (Some(Wants::Body | Wants::VersionBody), code::OBJECT | code::BLESS | code::IX_BLESS) => {
                return Err(Error::malformed("a class name without a thing of its own", start));
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
                    return Err(Error::malformed(format!("item {tag} has not been yet"), start));
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
                    return Err(Error::malformed(format!("class {class} has not been yet"), start));
                }
                return self.prefix(Kind::Class(class), Wants::Body);
            }
            code::VSTRING | code::LVSTRING => {
                let length = self.length(item == code::LVSTRING)?;
                let version = self.take(length)?;
                return self.prefix(Kind::Version(version), Wants::VersionBody);
            }
            code::ARRAY => {
                let count = self.word()?;
                return self.container(Kind::Array(count), count, 1, Wants::Items);
            }
            code::HASH => {
                let count = self.word()?;
                let wants = Wants::Keys { flagged: false };
                return self.container(Kind::Hash { count, flags: 0 }, count, 5, wants);
            }
            code::FLAG_HASH => {
                let flags = self.byte()?;
                let count = self.word()?;
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
            code::BYTE => Kind::Int(i32::from(self.byte()?) - 128),
            code::NETINT => Kind::Int(self.word()?.cast_signed()),
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

    /// Each of its `count` items takes at least `least` bytes, so a count that is a lie is found before anything is
    /// reserved for it.
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
        let flags = if flagged { self.byte()? } else { 0 };
        if flags & code::KEY_IS_ITEM != 0 {
            return Err(Error::unsupported("a hash key that is an item of its own", start));
        }
        let length = self.word()?;
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
        self.nodes.push(Node { kind, next });
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

    fn length(&mut self, long: bool) -> Result<u32, Error> {
        if long { self.word() } else { self.byte().map(u32::from) }
    }

    /// A number of seven bits, or one of 32 behind a byte with the eighth set.
    fn short_or_long(&mut self) -> Result<u32, Error> {
        let byte = self.byte()?;
        if byte & 0x80 == 0 { Ok(byte.into()) } else { self.word() }
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

/// What is said of a code that this reader does not take.
fn refusal(item: u8) -> String {
    let what = match item {
        code::INTEGER | code::DOUBLE => "a number in the writer's own byte order",
        code::TIED_ARRAY | code::TIED_HASH | code::TIED_SCALAR | code::TIED_KEY | code::TIED_IDX => "a tied variable",
        code::HOOK => "an object that froze itself by a hook of its class",
        code::CODE => "code",
        code::LOBJECT => "an object of more than 2 GiB",
        _ => return format!("the code {item:#04x} is unknown"),
    };
    format!("the image holds {what}, which has no meaning here")
}
