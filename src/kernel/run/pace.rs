//! When the kernel gives way to its host.

use crate::kernel::Core;

/// How much longer this poll may go on: so many events, and so long.
pub(super) struct Pace {
    left: u32,
    /// Events until the clock is looked at again.
    until_check: u32,
    checked: u32,
    began: u64,
    last: u64,
    limit: u64,
}

impl Pace {
    pub(super) fn new(core: &Core) -> Self {
        let limit = core.config.slice_nanos;
        // The first look comes early, in case each handler takes long; then as seldom as their pace allows.
        Pace {
            left: core.config.budget,
            until_check: 2,
            checked: 2,
            began: 0,
            last: 0,
            limit,
        }
    }

    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    #[inline]
    pub(super) fn step(&mut self, core: &Core) {
        self.left -= 1;
        self.until_check -= 1;
        if self.until_check == 0 {
            self.check(core);
        }
    }

    #[cold]
    fn check(&mut self, core: &Core) {
        let now = core.clock.now();
        if self.began == 0 {
            (self.began, self.last) = (now, now);
        }
        let each = ((now - self.last) / u64::from(self.checked)).max(1);
        self.last = now;
        let room = self.limit.saturating_sub(now - self.began);
        if room == 0 {
            self.left = 0;
        }
        // Twice as far as last time, unless the time may run out before.
        self.checked = (room / each).clamp(1, u64::from(self.checked) * 2).min(128) as u32;
        self.until_check = self.checked;
    }
}
