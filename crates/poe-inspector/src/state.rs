//! What the inspector's tasks share: settings, kernels, counts.

use crate::settings::Settings;
use crate::view::View;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) views: RefCell<Vec<Rc<View>>>,
    pub(crate) counts: Counts,
}

/// What the inspector counts of itself.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: Cell<usize>,
    pub(crate) streams: Cell<usize>,
    pub(crate) consoles: Cell<usize>,
    pub(crate) accepted: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) requests: Cell<u64>,
    pub(crate) denied: Cell<u64>,
}

pub(crate) fn add(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// One of a bounded number of things, counted while it exists.
pub(crate) struct Ticket {
    server: Rc<Server>,
    counter: fn(&Counts) -> &Cell<usize>,
}

impl Ticket {
    pub(crate) fn take(server: &Rc<Server>, counter: fn(&Counts) -> &Cell<usize>, most: usize) -> Option<Self> {
        let taken = counter(&server.counts);
        if taken.get() >= most {
            add(&server.counts.refused);
            return None;
        }
        taken.set(taken.get() + 1);
        Some(Ticket {
            server: server.clone(),
            counter,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let taken = (self.counter)(&self.server.counts);
        taken.set(taken.get() - 1);
    }
}

impl Server {
    pub(crate) fn view(&self, wanted: &str) -> Option<Rc<View>> {
        let views = self.views.borrow();
        let by_name = views.iter().find(|view| view.name() == wanted);
        let found = by_name.or_else(|| views.get(wanted.parse::<usize>().ok()?));
        found.cloned()
    }

    pub(crate) fn all(&self) -> Vec<Rc<View>> {
        self.views.borrow().clone()
    }
}
