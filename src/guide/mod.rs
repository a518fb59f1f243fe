//! The guide, chapter by chapter; the code in it is compiled and run.
//!
//! 1. [`events`]: names and types, the three ways to send, what a handler is given
//! 2. [`lifetimes`]: what holds a session, and `why_alive`
//! 3. [`timers`]
//! 4. [`components`]: servers and clients, from an echo server to a chat; Ctrl-C
//! 5. [`io`]: wheels and filters
//! 6. [`errors`]: refusals, failures, `DIE`
//! 7. `testing`: virtual time and transcripts (with the feature of that name)
//! 8. [`embedding`]: a kernel inside a Tokio service
//! 9. [`migration`]: from Perl's POE
//!
//! And for reference: [`rules`], order and lifetime on one page; [`phrasebook`], POE's synopses beside ours.

pub mod phrasebook;

#[doc = include_str!("../../docs/guide/components.md")]
pub mod components {}

#[doc = include_str!("../../docs/guide/embedding.md")]
pub mod embedding {}

#[doc = include_str!("../../docs/guide/errors.md")]
pub mod errors {}

#[doc = include_str!("../../docs/guide/events.md")]
pub mod events {}

#[doc = include_str!("../../docs/guide/io.md")]
pub mod io {}

#[doc = include_str!("../../docs/guide/lifetimes.md")]
pub mod lifetimes {}

#[doc = include_str!("../../docs/guide/migration.md")]
pub mod migration {}

#[doc = include_str!("../../docs/guide/rules.md")]
pub mod rules {}

#[cfg(feature = "testing")]
#[doc = include_str!("../../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../../docs/guide/timers.md")]
pub mod timers {}
