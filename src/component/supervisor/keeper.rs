//! The session that has a child's alias while the child is down, and keeps what is posted to it.

use crate::arg::AnyArg;
use crate::id::SessionId;
use crate::kernel::{Core, Invoke, Invoked, KeptPost, KernelRef};
use crate::name::Name;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// How many posts are kept for a child.
const LIMIT: usize = 1024;

/// The posts to one alias.
pub(super) struct Mailbox {
    alias: Rc<str>,
    /// In the order in which they were posted.
    kept: RefCell<VecDeque<KeptPost>>,
    /// The session that has the alias now; `None` while the child has it.
    keeper: Cell<Option<SessionId>>,
}

impl Mailbox {
    pub(super) fn new(alias: Rc<str>) -> Rc<Self> {
        Rc::new(Mailbox {
            alias,
            kept: RefCell::default(),
            keeper: Cell::new(None),
        })
    }

    pub(super) fn alias(&self) -> &str {
        &self.alias
    }

    pub(super) fn keeper(&self) -> Option<SessionId> {
        self.keeper.get()
    }

    pub(super) fn kept_by(&self, keeper: SessionId) {
        self.keeper.set(Some(keeper));
    }

    /// Takes the alias from the keeper, which ends then, and what was posted to it.
    pub(super) fn take(&self, core: &Core) -> VecDeque<KeptPost> {
        let mut posts = self.kept.take();
        if let Some(keeper) = self.keeper.take() {
            posts.extend(core.take_all_posts(keeper));
            core.take_alias(keeper, &self.alias);
        }
        posts
    }

    /// Keeps posts that were taken and could not be delivered.
    pub(super) fn put_back(&self, core: &Core, posts: VecDeque<KeptPost>) {
        for post in posts {
            self.keep(core, post);
        }
    }

    fn keep(&self, core: &Core, post: KeptPost) {
        let full = self.kept.borrow().len() >= LIMIT;
        match full {
            true => core.bury_kept(
                post,
                format!("`{}` is down, and {LIMIT} posts wait for it already", self.alias),
            ),
            false => self.kept.borrow_mut().push_back(post),
        }
    }

    /// The child does not come back.
    pub(super) fn close(&self, core: &Core, why: &str) {
        for post in self.take(core) {
            core.bury_kept(post, format!("no session has the alias `{}`: {why}", self.alias));
        }
    }
}

/// The session type of a keeper.
pub(super) struct Keeper(pub(super) Rc<Mailbox>);

impl Invoke for Keeper {
    fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        // Life-cycle events and calls: a caller cannot wait here.
        if kernel.is_asked() {
            return Invoked::Unhandled;
        }
        let post = KeptPost::of(kernel, std::mem::take(arg));
        self.0.keep(kernel.core, post);
        Invoked::Returned
    }

    fn event_names(&self) -> Vec<Name> {
        Vec::new()
    }
}
