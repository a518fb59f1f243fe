//! The image with a limit to what is read of it.

use super::super::error::Error;
use super::super::image::Image;
use super::super::settings::Settings;
use super::item::Item;
use std::cell::Cell;

/// What is shared is read once for each place that shares it, and a small image can share what is shared in turn. So the
/// octets that are read have a limit: this, and four times the image.
const SHARING: usize = 16 * 1024 * 1024;

pub(in crate::storable) struct Reader<'r, 'de> {
    pub(super) image: &'r Image<'de>,
    pub(super) max_depth: usize,
    /// What may still be read.
    fuel: Cell<usize>,
}

impl<'r, 'de> Reader<'r, 'de> {
    pub(in crate::storable) fn new(image: &'r Image<'de>, settings: &Settings) -> Self {
        Reader {
            image,
            max_depth: settings.max_depth,
            fuel: Cell::new(image.length.saturating_mul(4).saturating_add(SHARING)),
        }
    }

    pub(in crate::storable) fn top(&'r self) -> Item<'r, 'de> {
        Item {
            reader: self,
            at: 0,
            depth: 0,
        }
    }

    pub(super) fn spend(&self, octets: usize) -> Result<(), Error> {
        match self.fuel.get().checked_sub(octets) {
            Some(left) => self.fuel.set(left),
            None => return Err(Error::data("what the image shares makes too much data")),
        }
        Ok(())
    }
}
