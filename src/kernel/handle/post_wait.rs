//! Posts that wait for room in the inbox.

use super::inbox::Inbox;
use super::letter::{Letter, Post, SendName, SendTarget};
use crate::arg::SendArg;
use crate::bridge::mailbox::{Needs, Place as Line};
use crate::error::PostError;
use crate::id::Place;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) struct PostWait<'h, A> {
    pub(super) inbox: &'h Inbox,
    /// Until it is posted.
    pub(super) post: Option<(SendTarget, SendName, A)>,
    pub(super) place: Place,
    /// Its place in the line, once it waits.
    pub(super) line: Option<Line>,
}

impl<A> Unpin for PostWait<'_, A> {}

impl<A: Send + 'static> Future for PostWait<'_, A> {
    type Output = Result<(), PostError<A>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let put = this
            .inbox
            .mailbox
            .poll_put(Needs::Kernel, &mut this.line, cx.waker(), || match this.post.take() {
                Some((target, event, arg)) => Letter::Post(Post {
                    target,
                    event,
                    arg: SendArg::new(arg),
                    place: this.place,
                    sent: this.inbox.clock.now(),
                }),
                None => unreachable!("a future is not polled after its end"),
            });
        put.map_err(|refusal| match this.post.take() {
            Some((_, event, arg)) => PostError::new(event.key().as_str(), refusal.into(), arg),
            None => unreachable!("a refused post still has its argument"),
        })
    }
}

impl<A> Drop for PostWait<'_, A> {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            self.inbox.mailbox.leave_line(line);
        }
    }
}
