//! The value that an event carries, of any type; small and common types are held without an allocation.

use crate::id::{SessionId, TaskId, TimerId, WheelId};
use std::any::{Any, TypeId, type_name};
use std::fmt;

/// A type-erased argument or reply.
///
/// A removed timer returns one, `_default` receives one, and the results of `_start` and `_stop` travel as one.
/// `()`, numbers, `bool`, `char`, identifiers, `&'static str`, `String` and pairs of `u64` or `u32` are held
/// in place; any other type costs one box.
///
/// ```
/// use poe::AnyArg;
/// let arg = AnyArg::new(String::from("hello"));
/// assert!(arg.is::<String>());
/// assert_eq!(arg.type_name(), "alloc::string::String");
/// assert_eq!(arg.downcast_ref::<String>().map(String::len), Some(5));
/// let back = arg.downcast::<u8>().unwrap_err(); // not lost
/// assert_eq!(back.downcast::<String>().unwrap(), "hello");
/// ```
pub struct AnyArg(Repr<Box<dyn Erased>>);

/// The same for values that may cross threads.
pub(crate) struct SendArg(Repr<Box<dyn ErasedSend>>);

/// A boxed value together with the name of its type, for errors that say which type was sent.
trait Erased: Any {
    fn value(&self) -> &dyn Any;
    fn type_name(&self) -> &'static str;
    /// Whether the value was taken and the box is kept for the next one.
    fn is_spent(&self) -> bool;
}

trait ErasedSend: Erased + Send {}

/// A value in a box that is freed when the value is taken.
struct Whole<A>(A);

/// A value in a box that stays when the value is taken, for a series of events of one kind: see [`AnyArg::refill`].
/// An emptied box looks like `()`.
struct Refillable<A>(Option<A>);

impl<A: Any> Erased for Whole<A> {
    fn value(&self) -> &dyn Any {
        &self.0
    }
    fn type_name(&self) -> &'static str {
        type_name::<A>()
    }
    fn is_spent(&self) -> bool {
        false
    }
}

impl<A: Any + Send> ErasedSend for Whole<A> {}

impl<A: Any> Erased for Refillable<A> {
    fn value(&self) -> &dyn Any {
        self.0.as_ref().map_or(&(), |value| value)
    }
    fn type_name(&self) -> &'static str {
        match self.0 {
            Some(_) => type_name::<A>(),
            None => type_name::<()>(),
        }
    }
    fn is_spent(&self) -> bool {
        self.0.is_none()
    }
}

// Only one variant may be as large as a `String`: the others fit into what it leaves of 24 bytes.
macro_rules! kinds {
    ($($variant:ident($ty:ty)),* $(,)?) => {
        enum Repr<B> {
            // The two that need dropping come first, so that one comparison tells them from the others.
            Boxed(B),
            $($variant($ty),)*
        }

        impl<B> Repr<B> {
            /// The comparisons are between constants of one instantiation, so the compiler keeps a single branch.
            #[inline]
            fn pack<A: 'static>(value: A, boxed: impl FnOnce(A) -> B) -> Self {
                // Too large to be held in place: box it at once, because each move costs.
                if size_of::<A>() > size_of::<String>() {
                    return Repr::Boxed(boxed(value));
                }
                let mut slot = Some(value);
                {
                    let any: &mut dyn Any = &mut slot;
                    $(if TypeId::of::<A>() == TypeId::of::<$ty>()
                        && let Some(Some(v)) = any.downcast_mut::<Option<$ty>>().map(Option::take) {
                        return Repr::$variant(v);
                    })*
                }
                match slot {
                    Some(value) => Repr::Boxed(boxed(value)),
                    // `take` above empties the slot only on success.
                    None => unreachable!("the value was taken and not returned"),
                }
            }

            /// Returns the value if it is held in place and of type `A`; `Err` gives everything else back.
            #[inline]
            fn unpack<A: 'static>(self) -> Result<A, Self> {
                $(if TypeId::of::<A>() == TypeId::of::<$ty>() {
                    return match self {
                        Repr::$variant(v) => {
                            let mut slot = Some(v);
                            let any: &mut dyn Any = &mut slot;
                            match any.downcast_mut::<Option<A>>().and_then(Option::take) {
                                Some(value) => Ok(value),
                                None => unreachable!("two names of one type"),
                            }
                        }
                        other => Err(other),
                    };
                })*
                Err(self)
            }

            /// Takes the value out in place and leaves a copy of it, or an empty `String`, behind.
            ///
            /// Only the wanted value is moved. This is the hot path of an event's argument.
            #[inline(always)]
            fn take<A: 'static>(&mut self) -> Option<A> {
                $(if TypeId::of::<A>() == TypeId::of::<$ty>() {
                    return match self {
                        Repr::$variant(v) => Some(same(v.take_out())),
                        _ => None,
                    };
                })*
                None
            }

            /// Whether values of this type are held in place: a constant of each instantiation.
            #[inline(always)]
            fn holds<A: 'static>() -> bool {
                $(TypeId::of::<A>() == TypeId::of::<$ty>())||*
            }

            fn in_place(&self) -> Option<&dyn Any> {
                match self {
                    $(Repr::$variant(v) => Some(v),)*
                    Repr::Boxed(_) => None,
                }
            }

            fn in_place_name(&self) -> Option<&'static str> {
                match self {
                    $(Repr::$variant(_) => Some(type_name::<$ty>()),)*
                    Repr::Boxed(_) => None,
                }
            }

            fn rebox<C>(self, f: impl FnOnce(B) -> C) -> Repr<C> {
                match self {
                    $(Repr::$variant(v) => Repr::$variant(v),)*
                    Repr::Boxed(b) => Repr::Boxed(f(b)),
                }
            }
        }
    };
}

kinds! {
    String(String), Unit(()), Bool(bool), Char(char),
    U8(u8), U16(u16), U32(u32), U64(u64), Usize(usize),
    I8(i8), I16(i16), I32(i32), I64(i64), Isize(isize), F64(f64),
    Session(SessionId), Wheel(WheelId), Timer(TimerId), Task(TaskId),
    Str(&'static str),
    PairU64((u64, u64)), PairU32((u32, u32)),
}

const _: () = assert!(size_of::<AnyArg>() == 24, "an event of the queue must stay at 48 bytes");

impl AnyArg {
    /// Erases the type of a value. An `AnyArg` is returned unchanged.
    #[inline]
    pub fn new<A: 'static>(value: A) -> Self {
        if TypeId::of::<A>() == TypeId::of::<AnyArg>() {
            return same(value);
        }
        AnyArg(Repr::pack(value, |v| Box::new(Whole(v)) as Box<dyn Erased>))
    }

    /// Stores a value in the box that a value of the same type was taken from, without an allocation.
    ///
    /// The first value of a series makes the box.
    ///
    /// No path takes the value by reference: one that did would put it into memory first, field by field, and copying it from
    /// there in larger pieces stalls each record.
    #[inline]
    pub(crate) fn refill<A: 'static>(&mut self, value: A) {
        if Repr::<Box<dyn Erased>>::holds::<A>() {
            self.0 = Repr::pack(value, |v| Box::new(Whole(v)) as Box<dyn Erased>);
        } else if let Repr::Boxed(b) = &mut self.0
            && let Some(Refillable(slot)) = (&mut **b as &mut dyn Any).downcast_mut()
        {
            *slot = Some(value);
        } else {
            self.0 = Repr::Boxed(Box::new(Refillable(Some(value))));
        }
    }

    /// Returns `()`. Unlike a copy of [`UNIT`](Self::UNIT) it is written as no more than a tag.
    #[inline(always)]
    pub(crate) fn nothing() -> Self {
        AnyArg(Repr::Unit(()))
    }

    pub(crate) const UNIT: AnyArg = AnyArg(Repr::Unit(()));

    /// Whether the value is of a user's type, whose `Drop` may run any code.
    #[inline]
    pub(crate) fn is_boxed(&self) -> bool {
        matches!(&self.0, Repr::Boxed(b) if !b.is_spent())
    }

    /// Whether this is a box whose value was taken.
    #[cold]
    #[inline(never)]
    fn is_spent(&self) -> bool {
        matches!(&self.0, Repr::Boxed(b) if b.is_spent())
    }

    /// Whether dropping the value has an effect.
    #[inline]
    pub(crate) fn is_heavy(&self) -> bool {
        matches!(&self.0, Repr::Boxed(_) | Repr::String(_))
    }

    /// Whether the value is an `A`.
    #[must_use]
    pub fn is<A: 'static>(&self) -> bool {
        self.as_any().is::<A>()
    }

    /// Returns the value, if it is an `A`.
    #[must_use]
    pub fn downcast_ref<A: 'static>(&self) -> Option<&A> {
        self.as_any().downcast_ref()
    }

    /// Takes the value out.
    ///
    /// # Errors
    /// Returns the `AnyArg` unchanged if the value is of another type.
    #[inline]
    pub fn downcast<A: 'static>(self) -> Result<A, AnyArg> {
        if TypeId::of::<A>() == TypeId::of::<AnyArg>() {
            return Ok(same(self));
        }
        match self.0.unpack::<A>() {
            Ok(value) => Ok(value),
            Err(Repr::Boxed(mut b)) => {
                if (&*b as &dyn Any).is::<Whole<A>>() {
                    return match (b as Box<dyn Any>).downcast::<Whole<A>>() {
                        Ok(whole) => Ok(whole.0),
                        Err(_) => unreachable!("the type was just compared"),
                    };
                }
                if b.is_spent() {
                    return AnyArg::UNIT.downcast();
                }
                let slot = (&mut *b as &mut dyn Any).downcast_mut::<Refillable<A>>();
                match slot.and_then(|slot| slot.0.take()) {
                    Some(value) => Ok(value),
                    None => Err(AnyArg(Repr::Boxed(b))),
                }
            }
            Err(other) => Err(AnyArg(other)),
        }
    }

    /// Takes the value out if it is an `A`; otherwise changes nothing.
    ///
    /// Do not use what remains: it is `()` where the value was boxed, but a copy of a number, and an empty `String`.
    #[inline(always)]
    pub fn take<A: 'static>(&mut self) -> Option<A> {
        if TypeId::of::<A>() == TypeId::of::<AnyArg>() {
            return Some(same(std::mem::replace(self, AnyArg::UNIT)));
        }
        if let Some(value) = self.0.take::<A>() {
            return Some(value);
        }
        // A type that is held in place is never boxed. Without this test every handler of one would carry code for boxes.
        if Repr::<Box<dyn Erased>>::holds::<A>() {
            return match TypeId::of::<A>() == TypeId::of::<()>() && self.is_spent() {
                true => Some(same(())),
                false => None,
            };
        }
        let Repr::Boxed(b) = &mut self.0 else { return None };
        let held: &mut dyn Any = &mut **b;
        if let Some(Refillable(slot)) = held.downcast_mut::<Refillable<A>>() {
            return slot.take();
        }
        if held.is::<Whole<A>>() {
            return std::mem::replace(self, AnyArg::UNIT).downcast().ok();
        }
        None
    }

    /// Returns the `TypeId` of the value, for a table of what to do with each type.
    ///
    /// ```
    /// use poe::AnyArg;
    /// use std::any::TypeId;
    /// assert_eq!(AnyArg::new(7_u64).type_id_of(), TypeId::of::<u64>());
    /// assert_eq!(AnyArg::new(vec![7]).type_id_of(), TypeId::of::<Vec<i32>>());
    /// ```
    #[must_use]
    pub fn type_id_of(&self) -> std::any::TypeId {
        self.as_any().type_id()
    }

    /// Returns the name of the value's type, for messages to people.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.0 {
            Repr::Boxed(b) => (**b).type_name(),
            other => other.in_place_name().unwrap_or("?"),
        }
    }

    fn as_any(&self) -> &dyn Any {
        match &self.0 {
            Repr::Boxed(b) => b.value(),
            other => other.in_place().unwrap_or(&()),
        }
    }
}

/// Takes a value and leaves one behind: a copy of a `Copy` value, or an empty `String`.
trait TakeOut {
    fn take_out(&mut self) -> Self;
}

macro_rules! copied {
    ($($ty:ty),*) => {$(
        impl TakeOut for $ty {
            #[inline]
            fn take_out(&mut self) -> Self {
                *self
            }
        }
    )*};
}

copied!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize,
    f64,
    &'static str
);
copied!(SessionId, WheelId, TimerId, TaskId, (u64, u64), (u32, u32));

impl TakeOut for String {
    #[inline]
    fn take_out(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// Returns the value as a `B`; `A` and `B` are the same type.
#[inline]
fn same<A: 'static, B: 'static>(value: A) -> B {
    let mut slot = Some(value);
    let any: &mut dyn Any = &mut slot;
    match any.downcast_mut::<Option<B>>().and_then(Option::take) {
        Some(value) => value,
        None => unreachable!("two names of one type"),
    }
}

impl Default for AnyArg {
    /// `()`.
    fn default() -> Self {
        AnyArg::UNIT
    }
}

impl fmt::Debug for AnyArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyArg({})", self.type_name())
    }
}

impl SendArg {
    #[inline]
    pub(crate) fn new<A: Send + 'static>(value: A) -> Self {
        SendArg(Repr::pack(value, |v| Box::new(Whole(v)) as Box<dyn ErasedSend>))
    }

    #[inline]
    pub(crate) fn into_any(self) -> AnyArg {
        AnyArg(self.0.rebox(|b| b as Box<dyn Erased>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<A: 'static + PartialEq + fmt::Debug + Clone>(value: A) {
        there_and_back_again(AnyArg::new(value.clone()), &value);
    }

    fn there_and_back_again<A: 'static + PartialEq + fmt::Debug>(arg: AnyArg, value: &A) {
        assert_eq!(arg.downcast_ref::<A>(), Some(value));
        assert_eq!(arg.type_name(), type_name::<A>());
        let arg = arg.downcast::<std::cell::Cell<u8>>().unwrap_err();
        assert_eq!(arg.downcast::<A>().unwrap(), *value);
    }

    #[test]
    fn every_kind_comes_back_as_it_went() {
        there_and_back(());
        there_and_back(7_u64);
        there_and_back(-7_i32);
        there_and_back('x');
        there_and_back("static");
        there_and_back(String::from("owned"));
        there_and_back((1_u64, 2_u64));
        there_and_back(vec![1_u8]);
        there_and_back(std::rc::Rc::new(5_u8));
        there_and_back(Some(String::new()));
    }

    #[test]
    fn a_box_that_is_refilled_is_like_any_other() {
        let mut arg = AnyArg::UNIT;
        for n in 0..3_u8 {
            arg.refill(vec![n]);
            assert!(arg.is_boxed() && arg.is::<Vec<u8>>() && !arg.is::<()>());
            assert_eq!(arg.type_name(), type_name::<Vec<u8>>());
            assert!(arg.take::<String>().is_none() && arg.take::<()>().is_none());
            assert_eq!(arg.take::<Vec<u8>>(), Some(vec![n]));
            assert!(!arg.is_boxed() && arg.is::<()>());
            assert_eq!(arg.type_name(), "()");
            assert!(arg.take::<Vec<u8>>().is_none());
        }
        assert_eq!(arg.take::<()>(), Some(()));
        arg.refill(vec![7_u8]);
        there_and_back_again(arg, &vec![7_u8]);
        let mut arg = AnyArg::UNIT;
        arg.refill(vec![1_u8]);
        drop(arg.take::<Vec<u8>>());
        assert!(arg.downcast::<Vec<u8>>().unwrap_err().is::<()>());
        let mut arg = AnyArg::UNIT;
        arg.refill(vec![1_u8]);
        arg.refill("of another type".to_owned());
        assert_eq!(arg.take::<String>().unwrap(), "of another type");
    }

    #[test]
    fn a_value_that_crossed_threads_is_the_same() {
        let sent = SendArg::new(vec![1_u64]);
        assert_eq!(sent.into_any().downcast::<Vec<u64>>().unwrap(), [1]);
        assert_eq!(SendArg::new(3_u8).into_any().downcast::<u8>().unwrap(), 3);
    }
}
