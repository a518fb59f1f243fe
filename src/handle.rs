//! What methods of a [`KernelHandle`](crate::KernelHandle) return, beside [`ReplyFuture`](crate::ReplyFuture).

pub use crate::kernel::DelayedPost;
