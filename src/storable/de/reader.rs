//! The image with a limit to what sharing makes of it.

use super::super::error::Error;
use super::super::image::Image;
use super::super::settings::Settings;
use super::item::Item;
use std::cell::Cell;

/// What an item that is read again counts for, beside its text.
const ITEM: usize = 64;

pub(in crate::storable) struct Reader<'r, 'de> {
    pub(super) image: &'r Image<'de>,
    pub(super) max_depth: usize,
    /// How much may still be made of what is read again.
    shared: Cell<usize>,
}

impl<'r, 'de> Reader<'r, 'de> {
    pub(in crate::storable) fn new(image: &'r Image<'de>, settings: &Settings) -> Self {
        Reader {
            image,
            max_depth: settings.max_depth,
            shared: Cell::new(settings.max_shared),
        }
    }

    pub(in crate::storable) fn top(&'r self) -> Item<'r, 'de> {
        Item {
            reader: self,
            at: 0,
            depth: 0,
            again: false,
        }
    }

    /// Pays for an item that is read again, with so many bytes of text.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), Error> {
        match self.shared.get().checked_sub(bytes.saturating_add(ITEM)) {
            Some(left) => self.shared.set(left),
            None => {
                return Err(Error::too_large(
                    "what the image shares makes too much data (max_shared)",
                ));
            }
        }
        Ok(())
    }
}
