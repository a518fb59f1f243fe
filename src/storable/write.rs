//! Writes items: the bytes of each code, the numbers of what is shared, and the numbers of classes.

use super::code;
use super::error::Error;
use super::key::{self, length};
use super::number;
use super::value::{Body, Scalar, Thing, Value};
use std::collections::HashMap;
use std::rc::Rc;

pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    depth: usize,
    max_depth: usize,
    /// How many items were begun.
    items: u32,
    /// The numbers of things that may be met again.
    shared: HashMap<*const Thing, u32>,
    classes: HashMap<Vec<u8>, u32>,
}

impl Writer {
    pub(super) fn new(max_depth: usize) -> Self {
        Writer {
            out: code::HEADER.to_vec(),
            depth: 0,
            max_depth,
            items: 0,
            shared: HashMap::new(),
            classes: HashMap::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn code(&mut self, code: u8) {
        self.out.push(code);
    }

    pub(super) fn word(&mut self, word: u32) {
        self.out.extend_from_slice(&word.to_be_bytes());
    }

    /// Every container, reference and class name is a level, so that what is written can be read under the same limit.
    pub(super) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(Error::too_deep(self.max_depth));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn integer(&mut self, integer: i128) {
        if (-128..128).contains(&integer) {
            self.code(code::BYTE);
            self.out.push((integer + 128) as u8);
        } else if let Ok(integer) = i32::try_from(integer) {
            self.code(code::NETINT);
            self.out.extend_from_slice(&integer.to_be_bytes());
        } else {
            self.short(integer.to_string().as_bytes());
        }
    }

    /// `scientific` is `{:e}` of the float, in its own width.
    pub(super) fn float(&mut self, float: f64, scientific: &str) {
        match number::whole(float) {
            Some(integer) => self.integer(integer.into()),
            None => self.short(number::float_text(scientific).as_bytes()),
        }
    }

    fn short(&mut self, bytes: &[u8]) {
        self.code(code::SCALAR);
        self.out.push(bytes.len() as u8);
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.string(bytes, code::SCALAR, code::LSCALAR)
    }

    pub(super) fn characters(&mut self, text: &str) -> Result<(), Error> {
        self.string(text.as_bytes(), code::UTF8STR, code::LUTF8STR)
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Error> {
        if text.is_ascii() {
            self.bytes(text.as_bytes())
        } else {
            self.characters(text)
        }
    }

    fn string(&mut self, bytes: &[u8], short: u8, long: u8) -> Result<(), Error> {
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

    pub(super) fn class(&mut self, name: &[u8]) -> Result<(), Error> {
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

    /// A thing and all that hangs on it. The recursion is bounded by the depth.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), Error> {
        let thing: &Rc<Thing> = &value.0;
        if Rc::strong_count(thing) > 1 || Rc::weak_count(thing) > 0 {
            if let Some(&item) = self.shared.get(&Rc::as_ptr(thing)) {
                self.code(code::OBJECT);
                self.word(item);
                return Ok(());
            }
            self.shared.insert(Rc::as_ptr(thing), self.items);
        }
        self.items = self
            .items
            .checked_add(1)
            .ok_or_else(|| Error::data("more than four billion items"))?;
        let class = thing.class.borrow();
        if let Some(name) = &*class {
            self.enter()?;
            self.class(name)?;
        }
        self.body(&thing.body.borrow())?;
        if class.is_some() {
            self.leave();
        }
        Ok(())
    }

    fn body(&mut self, body: &Body) -> Result<(), Error> {
        match body {
            Body::Undef => self.code(code::UNDEF),
            Body::Hole => self.code(code::SV_UNDEF),
            Body::HoleElement => self.code(code::SVUNDEF_ELEM),
            Body::Bool(true) => self.code(code::SV_YES),
            Body::Bool(false) => self.code(code::SV_NO),
            Body::Int(integer) => self.integer((*integer).into()),
            Body::Float(float) => self.float(*float, &format!("{float:e}")),
            Body::Bytes(bytes) => self.bytes(bytes)?,
            Body::Text(text) => self.characters(text)?,
            Body::Version(written, characters) => {
                self.string(written, code::VSTRING, code::LVSTRING)?;
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
                None => self.code(code::UNDEF),
            },
            Body::Array(items) => {
                self.enter()?;
                self.code(code::ARRAY);
                self.word(length(items.len())?);
                for item in items {
                    self.value(item)?;
                }
                self.leave();
            }
            Body::Hash(entries, flags) => {
                self.enter()?;
                let flagged = *flags != 0 || entries.iter().any(|(key, entry)| key.flags() | entry.flags != 0);
                self.code(if flagged { code::FLAG_HASH } else { code::HASH });
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
                self.code(code::REGEXP);
                self.out.push(short.is_err().into());
                match short {
                    Ok(length) => self.out.push(length),
                    Err(_) => self.word(length(pattern.len())?),
                }
                self.out.extend_from_slice(pattern);
                let length = u8::try_from(modifiers.len()).map_err(|_| Error::data("modifiers of a pattern"))?;
                self.out.push(length);
                self.out.extend_from_slice(modifiers);
            }
        }
        Ok(())
    }

    fn reference(&mut self, to: &Value, item: u8) -> Result<(), Error> {
        self.enter()?;
        self.code(item);
        self.value(to)?;
        self.leave();
        Ok(())
    }

    /// A hash that was begun at `start` without flags gets the form with flags: `keys` says where its keys' lengths stand.
    pub(super) fn add_flags(&mut self, start: usize, keys: &[(usize, u8)]) {
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

    /// A key of characters, without its flags, which are the answer.
    pub(super) fn text_key(&mut self, text: &str) -> Result<u8, Error> {
        let (flags, bytes) = key::wire(text);
        self.byte_key(&bytes)?;
        Ok(flags)
    }

    pub(super) fn byte_key(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.word(length(bytes.len())?);
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}
