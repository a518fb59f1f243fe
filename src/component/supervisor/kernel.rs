//! A child that is a kernel of a pool: the session that stands for it in the supervisor's kernel.

use super::spec::ChildSpec;
use crate::component::kernel_pool::{KernelEnd, KernelFailure, KernelPool, PoolKernel};
use crate::error::{Error, ErrorKind, Failure, HandlerResult};
use crate::event::{Event, START};
use crate::kernel::{KERNEL_SHUTDOWN, Signal};
use crate::session::Session;
use std::rc::Rc;
use tokio::sync::oneshot;

const ENDED: Event<KernelEnd> = Event::new("supervised_kernel_ended");
const ASKED: Event<Signal> = Event::new("supervised_kernel_asked");

impl ChildSpec {
    /// Describes a child that is a kernel of a pool, counted from 0. The supervisor lives in a kernel outside of that pool.
    ///
    /// At a start the kernel's [setup](crate::component::KernelPoolBuilder::setup) and servers are started again, unless they run, as they do after the start of the
    /// pool. The child fails when a failure has stopped all sessions of the kernel; a session that stops alone
    /// ([`OnFailure::StopSession`](crate::OnFailure::StopSession), a kernel's default in a pool) is not the child's failure. Restarts, waits and who
    /// else is restarted are the supervisor's: the pool's own [`after_failure`](crate::component::KernelPoolBuilder::after_failure) and
    /// [`restarts`](crate::component::KernelPoolBuilder::restarts) do not count. Asked to end, the kernel's sessions get `KERNEL_SHUTDOWN`; at the
    /// [limit](Self::shutdown) they are stopped.
    ///
    /// The sockets of its servers stay open while the kernel is down, so that clients wait in the backlog; they are closed when
    /// the supervisor has [forgotten](super::Supervisor::remove_child) the child.
    ///
    /// # Errors
    /// The pool has no kernel of that number.
    ///
    /// ```
    /// use poe::{Kernel, component::{ChildSpec, KernelPool, Strategy, Supervisor}};
    /// use std::time::Duration;
    /// # tokio_test::block_on(async {
    /// let pool = KernelPool::new(2)?;
    /// let kernel = Kernel::new();
    /// let mut supervisor = Supervisor::builder(Strategy::OneForOne).intensity(3, Duration::from_secs(5));
    /// for number in 0..pool.kernels() {
    ///     supervisor = supervisor.child(ChildSpec::kernel(format!("kernel {number}"), &pool, number)?);
    /// }
    /// supervisor.start(&kernel)?;
    /// let end = tokio::time::sleep(Duration::from_millis(20)); // a service has `hosts::terminated()?`
    /// kernel.serve_until(end, Duration::from_secs(10)).await?; // the kernels of the pool end, the last one first
    /// pool.shutdown(Duration::from_secs(1)).await;             // and here their threads
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn kernel(name: impl Into<Rc<str>>, pool: &KernelPool, number: usize) -> Result<Self, Error> {
        let kernel = pool.kernel(number).ok_or_else(|| {
            let kernels = pool.kernels();
            Error::from(ErrorKind::Invalid(format!(
                "a pool of {kernels} kernels has no kernel {number}; the first one is kernel 0"
            )))
        })?;
        let kernel = Rc::new(kernel);
        let asked = kernel.clone();
        Ok(ChildSpec::prepared(
            name,
            move || {
                let kernel = kernel.clone();
                async move { kernel.start().await }
            },
            move |cx, ended| {
                if asked.pool().kernel_of(cx.supervisor_id()).is_some() {
                    let what = "a kernel of a pool cannot supervise a kernel of the same pool; start the supervisor in another kernel";
                    return Err(ErrorKind::Invalid(what.to_owned()).into());
                }
                cx.create(stand_in(asked.clone(), ended))
            },
        ))
    }
}

/// When this session is stopped its task is dropped, which stops the sessions of the kernel.
fn stand_in(
    kernel: Rc<PoolKernel>,
    ended: oneshot::Receiver<KernelEnd>,
) -> crate::session::SessionBuilder<Option<oneshot::Receiver<KernelEnd>>> {
    let number = kernel.number();
    Session::builder(Some(ended))
        .on(START, move |cx, ()| {
            cx.sig(KERNEL_SHUTDOWN, ASKED);
            let ended = cx.heap.take();
            let end = async move {
                let lost = |_| {
                    let failure = Failure::msg(format!("the thread of kernel {number} has ended"));
                    KernelEnd::Failed(KernelFailure { failure, event: None })
                };
                match ended {
                    Some(ended) => ended.await.unwrap_or_else(lost),
                    // It is started once.
                    None => KernelEnd::AskedFor,
                }
            };
            cx.spawn(end, ENDED);
        })
        .on(ASKED, move |cx, _| {
            cx.sig_handled();
            kernel.ask_to_end();
        })
        .on(ENDED, |_, end| -> HandlerResult {
            match end {
                KernelEnd::AskedFor => Ok(()),
                KernelEnd::Failed(failure) => Err(failure.into()),
            }
        })
}
