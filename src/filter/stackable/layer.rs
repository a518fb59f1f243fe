//! A layer of a stack: a filter or a stage with an erased type.

use crate::filter::{ByteStage, Filter, FilterError, Stage};
use std::any::{Any, TypeId, type_name};
use std::fmt;

pub(super) type Record = Box<dyn Any>;

/// A filter or a stage with an erased type, for a stack.
///
/// ```
/// use poe::filter::{Layer, Line, RecordBlock};
/// let line = Layer::filter(Line::new());
/// assert!(line.type_name().contains("Line"));
/// let mut pairs = Layer::stage(RecordBlock::<String>::new(2));
/// assert!(pairs.downcast_ref::<Line>().is_none());
/// if let Some(pairs) = pairs.downcast_mut::<RecordBlock<String>>() {
///     pairs.set_checkput(true);
/// }
/// assert!(pairs.downcast_ref::<RecordBlock<String>>().is_some_and(RecordBlock::checkput));
/// ```
pub struct Layer(pub(super) Box<dyn Erased>);

impl Layer {
    /// Makes a layer of a filter. It takes bytes, so it is the first layer, or stands on one that yields
    /// [`Bytes`](bytes::Bytes).
    pub fn filter<F: Filter>(filter: F) -> Self {
        Layer(Box::new(Held(ByteStage(filter), type_name::<F>())))
    }

    /// Makes a layer of a stage.
    pub fn stage<S: Stage>(stage: S) -> Self {
        Layer(Box::new(Held(stage, type_name::<S>())))
    }

    /// Returns the name of the filter's type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.0.name()
    }

    /// Returns the filter, if it has this type.
    #[must_use]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        let any = self.0.any();
        any.downcast_ref::<T>()
            .or_else(|| any.downcast_ref::<ByteStage<T>>().map(|bytes| &bytes.0))
    }

    /// Returns the filter, if it has this type, to change its settings.
    #[must_use]
    pub fn downcast_mut<T: 'static>(&mut self) -> Option<&mut T> {
        if self.0.any().is::<T>() {
            self.0.any_mut().downcast_mut()
        } else {
            let bytes = self.0.any_mut().downcast_mut::<ByteStage<T>>();
            bytes.map(|bytes| &mut bytes.0)
        }
    }

    pub(super) fn fresh(&self) -> Self {
        Layer(self.0.fresh())
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} waiting)", self.type_name(), self.0.waiting())
    }
}

/// A type, by its identity and its name.
#[derive(Clone, Copy)]
pub(super) struct Kind(pub(super) TypeId, pub(super) &'static str);

impl Kind {
    pub(super) fn of<T: 'static>() -> Self {
        Kind(TypeId::of::<T>(), type_name::<T>())
    }
}

/// The four record types of a stage.
pub(super) struct Kinds {
    pub(super) raw_input: Kind,
    pub(super) input: Kind,
    pub(super) output: Kind,
    pub(super) raw_output: Kind,
}

pub(super) trait Erased {
    fn kinds(&self) -> Kinds;
    /// Converts a record to the type that the layer takes. The check of the stack makes sure that it fits.
    fn start(&mut self, record: Record);
    fn next(&mut self) -> Result<Option<Record>, FilterError>;
    fn put(&mut self, record: Record, under: &mut Vec<Record>) -> Result<(), FilterError>;
    fn waiting(&self) -> usize;
    fn take_pending(&mut self) -> Vec<Record>;
    fn take_made(&mut self) -> Vec<Record>;
    fn front(&self, units: usize) -> Option<Record>;
    fn owed(&self) -> Option<u8>;
    fn has_rest(&self) -> bool;
    fn fresh(&self) -> Box<dyn Erased>;
    fn check(&self) -> Result<(), FilterError>;
    fn name(&self) -> &'static str;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
}

/// A stage, with the type name that the user knows.
struct Held<S>(S, &'static str);

impl<S: Stage> Erased for Held<S> {
    fn kinds(&self) -> Kinds {
        Kinds {
            raw_input: Kind::of::<S::RawInput>(),
            input: Kind::of::<S::Input>(),
            output: Kind::of::<S::Output>(),
            raw_output: Kind::of::<S::RawOutput>(),
        }
    }

    fn start(&mut self, record: Record) {
        if let Ok(record) = record.downcast() {
            self.0.feed(*record);
        }
    }

    fn next(&mut self) -> Result<Option<Record>, FilterError> {
        let record = self.0.next_record()?;
        Ok(record.map(|record| Box::new(record) as Record))
    }

    fn put(&mut self, record: Record, under: &mut Vec<Record>) -> Result<(), FilterError> {
        if let Ok(record) = record.downcast() {
            let mut records = Vec::new();
            self.0.put(*record, &mut records)?;
            under.extend(records.into_iter().map(|record| Box::new(record) as Record));
        }
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }

    fn take_pending(&mut self) -> Vec<Record> {
        let records = self.0.take_pending().into_iter();
        records.map(|record| Box::new(record) as Record).collect()
    }

    fn take_made(&mut self) -> Vec<Record> {
        let records = self.0.take_made().into_iter();
        records.map(|record| Box::new(record) as Record).collect()
    }

    fn front(&self, units: usize) -> Option<Record> {
        self.0.front(units).map(|record| Box::new(record) as Record)
    }

    fn owed(&self) -> Option<u8> {
        self.0.owed()
    }

    fn has_rest(&self) -> bool {
        self.0.has_rest()
    }

    fn fresh(&self) -> Box<dyn Erased> {
        Box::new(Held(self.0.fresh(), self.1))
    }

    fn check(&self) -> Result<(), FilterError> {
        self.0.check()
    }

    fn name(&self) -> &'static str {
        self.1
    }

    fn any(&self) -> &dyn Any {
        &self.0
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        &mut self.0
    }
}
