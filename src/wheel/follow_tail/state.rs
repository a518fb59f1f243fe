//! The state that a FollowTail's value and its task share: the filter, the events, the position.

use crate::arg::AnyArg;
use crate::id::WheelId;
use crate::name::HeldName;
use crate::wheel::base::Base;
use crate::wheel::pump::{Parser, follow};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Makes an event's argument from the bytes of an unfinished record.
pub(super) type Flush = Rc<dyn Fn(Bytes, WheelId) -> Option<AnyArg>>;

/// The names of all events except the input's.
#[derive(Default)]
pub(super) struct Events {
    pub(super) error: Option<HeldName>,
    pub(super) reset: Option<HeldName>,
    pub(super) idle: Option<HeldName>,
}

/// The state that the wheel's value and its task share.
pub(super) struct TailState {
    pub(super) base: Base,
    /// The name of the file in errors.
    pub(super) what: String,
    /// Empty while the filter is in use.
    parser: Cell<Option<Box<dyn Parser>>>,
    /// Belongs to the filter that the wheel was made with; removed when that is changed.
    pub(super) flush: RefCell<Option<Flush>>,
    pub(super) events: RefCell<Events>,
    /// Where reading continues, if the file is open and has positions.
    pub(super) offset: Cell<Option<u64>>,
    /// A new filter may see records in the bytes of the old one.
    pub(super) reparse: Cell<bool>,
    /// The byte that the old filter would have skipped next.
    pub(super) skip_next: Cell<Option<u8>>,
}

impl TailState {
    pub(super) fn new(
        base: Base,
        what: String,
        parser: Box<dyn Parser>,
        flush: Option<Flush>,
        events: Events,
    ) -> Rc<Self> {
        Rc::new(TailState {
            base,
            what,
            parser: Cell::new(Some(parser)),
            flush: RefCell::new(flush),
            events: RefCell::new(events),
            offset: Cell::new(None),
            reparse: Cell::new(false),
            skip_next: Cell::new(None),
        })
    }

    /// Uses the filter outside of its cell. `None` if it is in use up the stack.
    pub(super) fn with_parser<T>(&self, f: impl FnOnce(&mut dyn Parser) -> T) -> Option<T> {
        let mut parser = self.parser.take()?;
        let result = f(&mut *parser);
        match self.parser.take() {
            None => self.parser.set(Some(parser)),
            Some(newer) => drop(self.join(parser, newer)),
        }
        Some(result)
    }

    /// Replaces the filter; the caller drops the old one.
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
        self.skip_next.set(old.owed().or(self.skip_next.get()));
        next.start(&old.take_pending());
        self.parser.set(Some(next));
        old
    }
}
