//! Kernels that talk to one another over a NATS server.
//!
//! [`Ikc::join`] connects to a server, and with it to all kernels that have joined there under the same prefix. The same
//! [`Ikc`] serves: each kernel is addressed with its name, calls and posts, proxies, monitors and pings work as over a socket.
//!
//! | address | who gets it |
//! |---|---|
//! | `poe://name/session` | the kernel of that name; if several have it, the first that came |
//! | `poe://*/session` | one of the kernels that publish the event, chosen by the server |
//! | `poe://**/session` | all kernels that publish it, this one included |
//!
//! A call that no kernel takes fails at once ([`RemoteError::is_no_responder`](crate::RemoteError::is_no_responder)); a post that
//! none takes is told to monitors and [counted](crate::Counters::unclaimed).
//!
//! Every kernel has an entry in a bucket of JetStream, which it renews three times in [`IkcNats::presence`]. A kernel whose entry
//! is not renewed is gone: monitors are told, and calls to it fail.

mod client;
mod grid;
mod hold;
mod intake;
mod lease;
mod outlet;
mod post;
mod presence;
mod session;
mod settings;
mod store;
mod subjects;

pub use intake::{Delivery, Take};
pub use lease::{Claim, Lease, LeaseLost};
pub use post::DurablePost;
pub use settings::IkcNats;
pub use store::{Store, Stored};

use crate::error::IkcError;
use crate::hub::Job;
use crate::{Ikc, error::IkcErrorKind};
use poe::extend::Nested;

/// An `Ikc` has one connection to NATS.
const JOINED: &str = "this Ikc has joined already";

impl Ikc {
    /// Joins the kernels that are connected to a NATS server, and returns when this one is connected.
    ///
    /// It finds the others while the kernel runs; [`registered`](Self::registered) waits for one. An `Ikc` joins once.
    ///
    /// ```no_run
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// use poe_ikc::{Ikc, nats::IkcNats};
    /// const ADD: Event<(i64, i64), i64> = Event::new("add");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Any number of processes run this, and share the calls to `poe://*/calc`.
    /// let kernel = Kernel::new();
    /// let ikc = Ikc::builder("worker").publish("calc", |p| p.event(ADD)).start(&kernel)?;
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("calc"))
    ///     .on(ADD, |_, (a, b)| Reply(a + b))
    ///     .create(&kernel)?;
    /// ikc.join(IkcNats::connect("127.0.0.1:4222")).await?;
    /// kernel.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The connection, JetStream is not enabled, the address is not local (see [`IkcNats::insecure`]), this `Ikc` has joined already or
    /// was shut down.
    pub fn join(&self, nats: IkcNats) -> impl Future<Output = Result<(), IkcError>> + use<> {
        let hub = self.hub.clone();
        async move {
            let joined = nats.open(&hub).await?;
            let (grid, what) = (joined.grid().clone(), "join kernels on NATS");
            if hub.grid.borrow().is_some() {
                return Err(IkcError::new(what, IkcErrorKind::Nats(JOINED.into())));
            }
            let joining = hub.clone();
            let create = Box::new(move |cx: &mut Nested<'_>| session::start(cx, &joining, joined));
            if !hub.ring(Job::Create(create)) {
                return Err(IkcError::new(what, IkcErrorKind::Ended));
            }
            *hub.grid.borrow_mut() = Some(grid);
            Ok(())
        }
    }
}
