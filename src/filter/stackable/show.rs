//! Encodes the records that wait in a stack as wire bytes.

use super::Stackable;
use super::layer::Record;
use super::origin::{Part, Source};
use super::slot::Slot;
use bytes::Bytes;

impl<I: 'static, O: 'static> Stackable<I, O> {
    /// Appends the wire bytes of a source.
    fn show_source(&self, source: &Source, out: &mut Vec<u8>) {
        match source {
            Source::Wire(wire) => out.extend_from_slice(&wire.bytes),
            Source::Part(part) => self.show_part(part, out),
        }
    }

    pub(super) fn show_part(&self, part: &Part, out: &mut Vec<u8>) {
        let mut own = None;
        part.form(
            |content| own = Some(content.clone()),
            |sources| sources.iter().for_each(|source| self.show_source(source, out)),
        );
        if let Some(own) = own {
            let depth = if own.level.is_bare.get() {
                0
            } else {
                own.level.depth.get()
            };
            match self.encode(own.to_record(), depth) {
                Some(bytes) => out.extend(bytes),
                None => out.extend_from_slice(&own.content),
            }
        }
    }

    pub(super) fn show_held(&self, slot: &Slot) -> Vec<u8> {
        let mut bytes = Vec::new();
        for held in &slot.held {
            self.show_source(&held.source, &mut bytes);
        }
        bytes
    }

    /// Appends the wire bytes of a record that is not needed any more. A record that cannot be copied is encoded only
    /// here.
    pub(super) fn show_record(&self, record: Record, part: &Part, depth: usize, out: &mut Vec<u8>) {
        if part.has_form() {
            self.show_part(part, out);
        } else {
            out.extend(self.encode(record, depth).unwrap_or_default());
        }
    }

    /// Encodes a record with the first `depth` layers. Appends nothing if they do not fit, or one of them refuses the
    /// record.
    fn encode(&self, record: Record, depth: usize) -> Option<Vec<u8>> {
        let mut records = vec![record];
        for slot in self.slots[..depth].iter().rev() {
            let mut layer = slot.layer.fresh();
            let takes = layer.0.kinds().output.0;
            let mut under = Vec::new();
            for record in records {
                if (*record).type_id() != takes {
                    return None;
                }
                layer.0.put(record, &mut under).ok()?;
            }
            records = under;
        }
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend_from_slice(record.downcast_ref::<Bytes>()?);
        }
        Some(bytes)
    }
}
