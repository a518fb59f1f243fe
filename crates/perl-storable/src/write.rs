//! Writes items: the bytes of each code, the numbers of shared items, and the numbers of classes.

use crate::error::Error;
use crate::image::code;
use crate::key::{self, length};
use crate::number;
use crate::value::{Body, Scalar, Thing, Value};
use std::collections::HashMap;
use std::rc::Rc;

pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    depth: usize,
    max_depth: usize,
    /// How many items were begun: Storable numbers them, and later items refer to earlier ones with the number.
    items: u32,
    /// The numbers of values that may come again. They are kept, so that no other value gets the same address meanwhile.
    shared: HashMap<*const Thing, (u32, Value)>,
    classes: HashMap<Vec<u8>, u32>,
    /// A hash was written whose keys may be out of order.
    pub(crate) unsorted: bool,
}

impl Writer {
    pub(crate) fn new(max_depth: usize) -> Self {
        Writer {
            out: code::HEADER.to_vec(),
            depth: 0,
            max_depth,
            items: 0,
            shared: HashMap::new(),
            classes: HashMap::new(),
            unsorted: false,
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn code(&mut self, code: u8) {
        self.out.push(code);
    }

    pub(crate) fn word(&mut self, word: u32) {
        self.out.extend_from_slice(&word.to_be_bytes());
    }

    /// Begins an item: counts it, and writes its code.
    pub(crate) fn item(&mut self, code: u8) {
        // More than four billion items are longer than an image can be.
        self.items = self.items.saturating_add(1);
        self.code(code);
    }

    /// Every container, reference and class name is a level, so that an image can be read under the same limit.
    pub(crate) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(Error::too_deep(self.max_depth));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(crate) fn integer(&mut self, integer: i128) {
        if (-128..128).contains(&integer) {
            self.item(code::BYTE);
            self.out.push((integer + 128) as u8);
        } else if let Ok(integer) = i32::try_from(integer) {
            self.item(code::NETINT);
            self.out.extend_from_slice(&integer.to_be_bytes());
        } else {
            self.short(integer.to_string().as_bytes());
        }
    }

    /// `scientific` is `{:e}` of the float, in its own width.
    pub(crate) fn float(&mut self, float: f64, scientific: &str) {
        match number::whole(float) {
            Some(integer) => self.integer(integer.into()),
            None => self.short(number::float_text(scientific).as_bytes()),
        }
    }

    fn short(&mut self, bytes: &[u8]) {
        self.item(code::SCALAR);
        self.out.push(bytes.len() as u8);
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.string(bytes, code::SCALAR, code::LSCALAR)
    }

    pub(crate) fn characters(&mut self, text: &str) -> Result<(), Error> {
        self.string(text.as_bytes(), code::UTF8STR, code::LUTF8STR)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), Error> {
        if text.is_ascii() {
            self.bytes(text.as_bytes())
        } else {
            self.characters(text)
        }
    }

    fn string(&mut self, bytes: &[u8], short: u8, long: u8) -> Result<(), Error> {
        self.items = self.items.saturating_add(1);
        self.prefix(bytes, short, long)
    }

    fn prefix(&mut self, bytes: &[u8], short: u8, long: u8) -> Result<(), Error> {
        match u8::try_from(bytes.len()) {
            Ok(length) => self.out.extend_from_slice(&[short, length]),
            Err(_) => {
                let length = length(bytes.len())?;
                self.code(long);
                self.word(length);
            }
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn class(&mut self, name: &[u8]) -> Result<(), Error> {
        if let Some(&index) = self.classes.get(name) {
            self.code(code::IX_BLESS);
            self.short_or_long(index);
            return Ok(());
        }
        let index = length(self.classes.len())?;
        self.classes.insert(name.to_vec(), index);
        self.code(code::BLESS);
        self.short_or_long(length(name.len())?);
        self.out.extend_from_slice(name);
        Ok(())
    }

    fn short_or_long(&mut self, number: u32) {
        if number < 0x80 {
            self.out.push(number as u8);
        } else {
            self.out.push(0x80);
            self.word(number);
        }
    }

    /// Writes a value and everything that it refers to. The recursion is bounded by the depth.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Error> {
        let thing: &Rc<Thing> = &value.0;
        if Rc::strong_count(thing) > 1 || Rc::weak_count(thing) > 0 {
            if let Some((item, _)) = self.shared.get(&Rc::as_ptr(thing)) {
                let item = *item;
                self.code(code::OBJECT);
                self.word(item);
                return Ok(());
            }
            self.shared.insert(Rc::as_ptr(thing), (self.items, value.clone()));
        }
        let class = thing.class.borrow();
        if let Some(name) = &*class {
            self.enter()?;
            self.class(name)?;
        }
        self.body(value)?;
        if class.is_some() {
            self.leave();
        }
        Ok(())
    }

    /// Writes what is in a value, without its class and without a note that it was written.
    pub(crate) fn body(&mut self, value: &Value) -> Result<(), Error> {
        let body = &*value.0.body.borrow();
        match body {
            Body::Undef => self.item(code::UNDEF),
            Body::Hole => self.item(code::SV_UNDEF),
            Body::HoleElement => self.item(code::SVUNDEF_ELEM),
            Body::Bool(true) => self.item(code::SV_YES),
            Body::Bool(false) => self.item(code::SV_NO),
            Body::Int(integer) => self.integer((*integer).into()),
            Body::Float(float) => self.float(*float, &format!("{float:e}")),
            Body::Bytes(bytes) => self.bytes(bytes)?,
            Body::Text(text) => self.characters(text)?,
            Body::Version(written, characters) => {
                self.prefix(written, code::VSTRING, code::LVSTRING)?;
                match characters {
                    Scalar::Bytes(bytes) => self.bytes(bytes)?,
                    Scalar::Text(text) => self.characters(text)?,
                }
            }
            Body::Ref(to, overload) => self.reference(to, [code::REF, code::OVERLOAD][usize::from(*overload)])?,
            Body::Weak(to, overload) => match to.upgrade() {
                Some(to) => {
                    let item = [code::WEAKREF, code::WEAKOVERLOAD][usize::from(*overload)];
                    self.reference(&Value(to), item)?;
                }
                None => self.item(code::UNDEF),
            },
            Body::Array(items) => {
                self.enter()?;
                self.item(code::ARRAY);
                self.word(length(items.len())?);
                for item in items {
                    self.value(item)?;
                }
                self.leave();
            }
            Body::Hash(entries, flags) => {
                self.enter()?;
                let flagged = *flags != 0 || entries.iter().any(|(key, entry)| key.flags() | entry.flags != 0);
                self.item(if flagged { code::FLAG_HASH } else { code::HASH });
                if flagged {
                    self.out.push(*flags);
                }
                self.word(length(entries.len())?);
                for (key, entry) in entries {
                    self.value(&entry.value)?;
                    if flagged {
                        self.out.push(key.flags() | entry.flags);
                    }
                    self.word(length(key.bytes().len())?);
                    self.out.extend_from_slice(key.bytes());
                }
                self.leave();
            }
            Body::Regexp(pattern, modifiers) => {
                let short = u8::try_from(pattern.len());
                self.item(code::REGEXP);
                self.out.push(short.is_err().into());
                match short {
                    Ok(length) => self.out.push(length),
                    Err(_) => self.word(length(pattern.len())?),
                }
                self.out.extend_from_slice(pattern);
                let length = u8::try_from(modifiers.len())
                    .map_err(|_| Error::data("a pattern with more than 255 modifiers cannot be written"))?;
                self.out.push(length);
                self.out.extend_from_slice(modifiers);
            }
        }
        Ok(())
    }

    fn reference(&mut self, to: &Value, item: u8) -> Result<(), Error> {
        self.enter()?;
        self.item(item);
        self.value(to)?;
        self.leave();
        Ok(())
    }

    /// Turns a hash that was begun at `start` without flags into one with flags; `keys` says where its keys' lengths are.
    pub(crate) fn add_flags(&mut self, start: usize, keys: &[(usize, u8)]) {
        let plain = self.out.split_off(start);
        self.out.extend_from_slice(&[code::FLAG_HASH, 0]);
        let mut done = 1;
        for &(at, flags) in keys {
            self.out.extend_from_slice(&plain[done..at - start]);
            self.out.push(flags);
            done = at - start;
        }
        self.out.extend_from_slice(&plain[done..]);
    }

    /// Writes a key of characters without its flags, and returns those.
    pub(crate) fn text_key(&mut self, text: &str) -> Result<u8, Error> {
        let (flags, bytes) = key::wire(text);
        self.byte_key(&bytes)?;
        Ok(flags)
    }

    pub(crate) fn byte_key(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.word(length(bytes.len())?);
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}
