//! POE::Filter::Grep: only the records that a closure accepts.

use super::{FilterError, Stage};
use crate::debug::debug_fields;
use std::collections::VecDeque;
use std::rc::Rc;

type Holds<T> = Rc<dyn Fn(&T) -> bool>;

/// Lets only some records through (`POE::Filter::Grep`); [`FilterExt::grep`](super::FilterExt::grep) makes one in place.
///
/// A record that is rejected on input is dropped, and the next one follows at once. A record that is rejected on output is not
/// put, which is not an error. `fresh` copies share the closures. Each direction can have its own closure, which can be changed.
///
/// ```
/// use poe::filter::{Grep, Stage};
/// let mut odd = Grep::code(|n: &u32| n % 2 == 1);
/// let got: Vec<u32> = odd.get([1, 1, 2, 3, 5]).into_iter().map(Result::unwrap).collect();
/// assert_eq!(got, [1, 1, 3, 5]);
/// ```
#[doc(alias = "POE::Filter::Grep")]
pub struct Grep<I, O = I> {
    get: Holds<I>,
    put: Holds<O>,
    waiting: VecDeque<I>,
}

impl<I: 'static, O: 'static> Grep<I, O> {
    /// Makes a stage with one closure for each direction.
    #[must_use]
    #[doc(alias = "Get")]
    #[doc(alias = "Put")]
    pub fn new(get: impl Fn(&I) -> bool + 'static, put: impl Fn(&O) -> bool + 'static) -> Self {
        Grep {
            get: Rc::new(get),
            put: Rc::new(put),
            waiting: VecDeque::new(),
        }
    }

    /// Changes the closure for input, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_get(&mut self, get: impl Fn(&I) -> bool + 'static) {
        self.get = Rc::new(get);
    }

    /// Changes the closure for output, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_put(&mut self, put: impl Fn(&O) -> bool + 'static) {
        self.put = Rc::new(put);
    }

    /// Returns the waiting records, unchanged.
    pub fn pending(&self) -> impl Iterator<Item = &I> {
        self.waiting.iter()
    }
}

impl<T: 'static> Grep<T> {
    /// Makes a stage with the same closure in both directions (`Code`).
    #[must_use]
    #[doc(alias = "Code")]
    pub fn code(code: impl Fn(&T) -> bool + 'static) -> Self {
        let code: Holds<T> = Rc::new(code);
        Grep {
            get: code.clone(),
            put: code,
            waiting: VecDeque::new(),
        }
    }

    /// Changes the closure in both directions.
    #[doc(alias = "modify")]
    pub fn modify_code(&mut self, code: impl Fn(&T) -> bool + 'static) {
        self.get = Rc::new(code);
        self.put = self.get.clone();
    }
}

impl<I: 'static, O: 'static> Stage for Grep<I, O> {
    type RawInput = I;
    type Input = I;
    type Output = O;
    type RawOutput = O;
    const KEEPS: bool = false;

    fn feed(&mut self, record: I) {
        self.waiting.push_back(record);
    }

    fn next_record(&mut self) -> Result<Option<I>, FilterError> {
        while let Some(record) = self.waiting.pop_front() {
            if (self.get)(&record) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn put(&mut self, record: O, under: &mut Vec<O>) -> Result<(), FilterError> {
        if (self.put)(&record) {
            under.push(record);
        }
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_pending(&mut self) -> Vec<I> {
        self.waiting.drain(..).collect()
    }

    fn fresh(&self) -> Self {
        Grep {
            get: self.get.clone(),
            put: self.put.clone(),
            waiting: VecDeque::new(),
        }
    }
}

debug_fields!([I, O] Grep<I, O>, "Grep", |this| { waiting: this.waiting.len() });
