//! What a FollowTail's value and its task share: the filter, the events, how far it has read.

use crate::arg::AnyArg;
use crate::id::WheelId;
use crate::name::HeldName;
use crate::wheel::base::Base;
use crate::wheel::pump::{Parser, follow};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Makes an event's argument of the bytes of a record that was never finished.
pub(super) type Flush = Rc<dyn Fn(Bytes, WheelId) -> Option<AnyArg>>;

/// Which events are told of, but for the input's.
#[derive(Default)]
pub(super) struct Events {
    pub(super) error: Option<HeldName>,
    pub(super) reset: Option<HeldName>,
    pub(super) idle: Option<HeldName>,
}

/// What the wheel's value and its task share.
pub(super) struct State {
    pub(super) base: Base,
    /// What is followed, as errors call it.
    pub(super) what: String,
    /// Empty while the filter is in use.
    parser: Cell<Option<Box<dyn Parser>>>,
    /// Of the filter that the wheel was made with; gone when that is changed.
    pub(super) flush: RefCell<Option<Flush>>,
    pub(super) events: RefCell<Events>,
    /// Where reading goes on, if the file is open and has places.
    pub(super) offset: Cell<Option<u64>>,
    /// A new filter may see records in what the old one left.
    pub(super) reparse: Cell<bool>,
    /// The byte that the old filter would have swallowed next.
    pub(super) owed: Cell<Option<u8>>,
}

impl State {
    pub(super) fn new(
        base: Base,
        what: String,
        parser: Box<dyn Parser>,
        flush: Option<Flush>,
        events: Events,
    ) -> Rc<Self> {
        Rc::new(State {
            base,
            what,
            parser: Cell::new(Some(parser)),
            flush: RefCell::new(flush),
            events: RefCell::new(events),
            offset: Cell::new(None),
            reparse: Cell::new(false),
            owed: Cell::new(None),
        })
    }

    /// Uses the filter, out of its cell. Nothing if it is in use up the stack.
    pub(super) fn with_parser<T>(&self, f: impl FnOnce(&mut dyn Parser) -> T) -> Option<T> {
        let mut parser = self.parser.take()?;
        let result = f(&mut *parser);
        match self.parser.take() {
            None => self.parser.set(Some(parser)),
            Some(newer) => drop(self.join(parser, newer)),
        }
        Some(result)
    }

    /// Puts `next` in the place of the filter; the old one is the caller's to drop.
    pub(super) fn set_parser(&self, next: Box<dyn Parser>) -> Option<Box<dyn Parser>> {
        self.reparse.set(true);
        match self.parser.take() {
            Some(old) => Some(self.join(old, next)),
            None => {
                self.parser.set(Some(next));
                None
            }
        }
    }

    fn join(&self, mut old: Box<dyn Parser>, next: Box<dyn Parser>) -> Box<dyn Parser> {
        let mut next = follow(&mut *old, next, self.base.id());
        self.owed.set(old.owed().or(self.owed.get()));
        next.start(&old.take_pending());
        self.parser.set(Some(next));
        old
    }
}
