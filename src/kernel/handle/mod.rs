//! Messages from other threads: an inbox that is swapped as a whole, and one wake-up for all messages in it.

mod call;
mod dead_letter;
mod delayed;
mod inbox;
mod kernel_handle;
mod letter;
mod post_wait;
mod reply_future;

pub(super) use call::{Queued, QueuedCall, reply_of};
pub use dead_letter::DeadLetter;
pub(super) use dead_letter::{DeadLetterHook, Lost};
pub use delayed::DelayedPost;
pub(super) use inbox::Inbox;
pub use kernel_handle::KernelHandle;
pub(super) use letter::Letter;
pub use reply_future::ReplyFuture;
