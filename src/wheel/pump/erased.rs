//! Type-erased filters, so that a wheel in a heap may change them.

use crate::arg::AnyArg;
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::WheelId;
use crate::name::{HeldName, NameIdx};
use crate::wheel::error::PutErrorKind;
use bytes::{Bytes, BytesMut};
use std::any::{Any, TypeId, type_name};
use std::collections::VecDeque;

/// The argument of an input event: a record, and the wheel that read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "InputEvent")]
#[non_exhaustive]
pub struct Input<T> {
    /// The record that the filter made of the bytes.
    pub record: T,
    /// The wheel's ID, for sessions that have several.
    pub wheel: WheelId,
}

/// A record on its way to the session. One place serves all records of a read, so that nothing is moved and no box is made again.
pub(crate) struct Record {
    pub(crate) event: NameIdx,
    pub(crate) arg: AnyArg,
}

impl Record {
    /// A place without a record.
    pub(crate) const NONE: Record = Record {
        event: NameIdx::NONE,
        arg: AnyArg::UNIT,
    };
}

/// A type-erased input filter, with the event that takes its records.
pub(crate) trait Parser {
    fn start(&mut self, bytes: &[u8]);
    /// Puts the next record into its place; `None` if there is none.
    fn next(&mut self, wheel: WheelId, place: &mut Record) -> Option<Result<(), FilterError>>;
    fn event(&self) -> NameIdx;
    /// Renames the event of records of that type; false if the filter has another type of records.
    fn set_event(&mut self, event: HeldName, record: TypeId) -> bool;
    /// Returns the filter itself; `None` if there is no filter.
    fn filter(&mut self) -> Option<&mut dyn Any>;
    fn pending(&self) -> &[u8];
    fn take_pending(&mut self) -> Bytes;
    fn owed(&self) -> Option<u8>;
    /// Takes the records that were made already, with their event: they come before those of the next filter.
    fn take_made(&mut self, _wheel: WheelId) -> Vec<(HeldName, AnyArg)> {
        Vec::new()
    }
}

/// A filter behind the records that the previous one had made.
struct Preceded {
    made: VecDeque<(HeldName, AnyArg)>,
    /// The event of the record that was delivered last, which the place names without a reference.
    given: Option<HeldName>,
    next: Box<dyn Parser>,
}

/// Lets `next` follow `old`, whose finished records come first.
pub(crate) fn follow(old: &mut dyn Parser, next: Box<dyn Parser>, wheel: WheelId) -> Box<dyn Parser> {
    let made = old.take_made(wheel);
    if made.is_empty() {
        return next;
    }
    Box::new(Preceded {
        made: made.into(),
        given: None,
        next,
    })
}

impl Parser for Preceded {
    fn start(&mut self, bytes: &[u8]) {
        self.next.start(bytes);
    }
    fn next(&mut self, wheel: WheelId, place: &mut Record) -> Option<Result<(), FilterError>> {
        let Some((event, arg)) = self.made.pop_front() else {
            return self.next.next(wheel, place);
        };
        *place = Record {
            event: event.idx(),
            arg,
        };
        self.given = Some(event);
        Some(Ok(()))
    }
    fn event(&self) -> NameIdx {
        self.next.event()
    }
    fn set_event(&mut self, event: HeldName, record: TypeId) -> bool {
        self.next.set_event(event, record)
    }
    fn filter(&mut self) -> Option<&mut dyn Any> {
        self.next.filter()
    }
    fn pending(&self) -> &[u8] {
        self.next.pending()
    }
    fn take_pending(&mut self) -> Bytes {
        self.next.take_pending()
    }
    fn owed(&self) -> Option<u8> {
        self.next.owed()
    }
    fn take_made(&mut self, wheel: WheelId) -> Vec<(HeldName, AnyArg)> {
        let mut made: Vec<_> = self.made.drain(..).collect();
        made.extend(self.next.take_made(wheel));
        made
    }
}

pub(crate) struct TypedParser<F: Filter> {
    filter: F,
    event: HeldName,
    /// The event takes the bare record, without the wheel's ID.
    bare: bool,
}

impl<F: Filter> TypedParser<F> {
    pub(crate) fn new(filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        TypedParser {
            filter,
            event: HeldName::new(event.key()),
            bare: false,
        }
    }

    /// Whether the filter's settings make sense.
    pub(crate) fn check(&self) -> Result<(), FilterError> {
        self.filter.check()
    }

    /// One whose event takes the bare record: for sessions with one wheel.
    pub(crate) fn bare(filter: F, event: impl Posts<F::Input>) -> Self {
        TypedParser {
            filter,
            event: HeldName::new(event.key()),
            bare: true,
        }
    }
}

impl<F: Filter> Parser for TypedParser<F> {
    fn start(&mut self, bytes: &[u8]) {
        self.filter.feed(bytes);
    }
    fn next(&mut self, wheel: WheelId, place: &mut Record) -> Option<Result<(), FilterError>> {
        match self.filter.next_record() {
            Ok(Some(record)) => {
                place.event = self.event.idx();
                if self.bare {
                    place.arg.refill(record);
                } else {
                    place.arg.refill(Input { record, wheel });
                }
                Some(Ok(()))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
    fn event(&self) -> NameIdx {
        self.event.idx()
    }
    fn set_event(&mut self, event: HeldName, record: TypeId) -> bool {
        let fits = record == TypeId::of::<F::Input>();
        if fits {
            self.event = event;
            self.bare = false;
        }
        fits
    }
    fn filter(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.filter)
    }
    fn pending(&self) -> &[u8] {
        self.filter.pending()
    }
    fn take_pending(&mut self) -> Bytes {
        self.filter.take_pending()
    }
    fn owed(&self) -> Option<u8> {
        self.filter.owed()
    }
    fn take_made(&mut self, wheel: WheelId) -> Vec<(HeldName, AnyArg)> {
        let bare = self.bare;
        let arg = |record| {
            if bare {
                AnyArg::new(record)
            } else {
                AnyArg::new(Input { record, wheel })
            }
        };
        let made = self.filter.take_made().into_iter();
        made.map(|record| (self.event.clone(), arg(record))).collect()
    }
}

/// A type-erased output filter.
pub(crate) trait Formatter {
    /// Takes the record out of an `Option` of its type; leaves it there if it has another type.
    fn put(&mut self, record: &mut dyn Any, out: &mut BytesMut) -> Result<(), PutErrorKind>;
    /// The type of the records that it takes.
    fn takes(&self) -> TypeId;
    /// The filter itself.
    fn filter(&mut self) -> &mut dyn Any;
}

pub(crate) struct TypedFormatter<F>(pub(crate) F);

impl<F: Filter> Formatter for TypedFormatter<F> {
    fn put(&mut self, record: &mut dyn Any, out: &mut BytesMut) -> Result<(), PutErrorKind> {
        let given = match record.downcast_mut::<Option<F::Output>>() {
            Some(slot) => slot.take(),
            None => converted(record),
        };
        match given {
            Some(record) => self.0.put(record, out).map_err(PutErrorKind::Filter),
            None => Err(PutErrorKind::WrongType {
                takes: type_name::<F::Output>(),
                given: "",
            }),
        }
    }
    fn takes(&self) -> TypeId {
        TypeId::of::<F::Output>()
    }
    fn filter(&mut self) -> &mut dyn Any {
        &mut self.0
    }
}

/// Converts literals and owned text or bytes for filters that take `String` or `Bytes`, like `into()`.
fn converted<O: 'static>(record: &mut dyn Any) -> Option<O> {
    fn same<T: 'static, O: 'static>(value: T) -> Option<O> {
        let mut slot = Some(value);
        let slot: &mut dyn Any = &mut slot;
        slot.downcast_mut::<Option<O>>()?.take()
    }
    let takes = TypeId::of::<O>();
    if takes == TypeId::of::<String>() {
        let text = record.downcast_mut::<Option<&'static str>>()?.take()?;
        return same(text.to_owned());
    }
    if takes == TypeId::of::<Bytes>() {
        let bytes = if let Some(slot) = record.downcast_mut::<Option<&'static str>>() {
            Bytes::from_static(slot.take()?.as_bytes())
        } else if let Some(slot) = record.downcast_mut::<Option<String>>() {
            Bytes::from(slot.take()?)
        } else {
            Bytes::from(record.downcast_mut::<Option<Vec<u8>>>()?.take()?)
        };
        return same(bytes);
    }
    None
}
