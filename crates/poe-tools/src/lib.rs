//! Components for programs on [`poe`]: what many of them need beside sockets and sessions.
//!
//! | component | what it does | Perl's |
//! |---|---|---|
//! | `Cron` | posts events at times of the calendar | POE::Component::Cron, Schedule |
//! | [`DirWatch`] | reports new, modified, removed, renamed and unchanged files | POE::Component::DirWatch, DirWatch::Object |
//! | [`Generic`] | makes the calls of an object that blocks asynchronous, on a thread for it alone | POE::Component::Generic |
//! | `GenericProcess` | the same in a child process, over POE::Filter::Reference, on Unix | POE::Component::Generic |
//! | [`JobQueue`] | does jobs, a few at a time, the most urgent first: futures, threads or sessions | POE::Component::JobQueue |
//! | `Ping` | sends ICMP echo requests | POE::Component::Client::Ping |
//! | [`PubSub`] | passes on what one session publishes to all that have subscribed | POE::Component::PubSub |
//! | [`Resolver`] | looks up names, with the system or with name servers | POE::Component::Resolver, Client::DNS |
//!
//! Each is configured with a builder, whose `start(&kernel)` starts it from outside of handlers. In a handler, or as the child of a
//! [`Supervisor`](poe::component::Supervisor), `cx.start(builder)` does. What is returned is a handle, which is cheap to clone and does not
//! keep the component alive. The handle's methods take the context of the handler that calls them. From elsewhere, post the component's events
//! to its session.
//!
//! A component is a session. It lives as long as anything can happen in its kernel, shows in snapshots, and ends with [`SHUTDOWN`], with the
//! kernel's shutdown, or with its supervisor. Results come as events, exactly one for each request that was accepted; the session
//! that has asked is kept alive until then.
//!
//! ```
//! use poe::{Kernel, component::{ChildSpec, Strategy, Supervisor}};
//! use poe_tools::JobQueue;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), poe::Error> {
//! let kernel = Kernel::new();
//! let thumbnails = ChildSpec::new("thumbnails", |cx| {
//!     let queue = JobQueue::blocking(|image: Vec<u8>| image.len()).workers(2);
//!     Ok::<_, poe::Error>(cx.start(queue)?.session_id())
//! });
//! Supervisor::builder(Strategy::OneForOne).child(thumbnails.alias("thumbnails")).start(&kernel)?;
//! kernel.run().await
//! # }
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `cron` (on by default) | `Cron` |
//! | `process` (on by default) | `GenericProcess`, `serve_process` |
//! | `ping` (on by default) | `Ping` |
//! | `dns` | [`Resolver`] asks name servers itself, for records of every type |
//! | `notify` | [`DirWatch`] is woken by the system's file events, beside its polling |
//!
//! # Bounds
//!
//! | what grows | limit | what happens there |
//! |---|---|---|
//! | entries of a Cron | `CronBuilder::max_entries`, 4096 | an error |
//! | times that a late event stands for | 1000 are counted | more are not |
//! | files that are listed | [`DirWatchBuilder::max_entries`], 100 000 | an error event, and no report |
//! | reports of a listing | 256 in the queue | the next are posted when these are handled, and then the directory is listed again |
//! | listings that file events wake | one per [`DirWatchBuilder::confirm`], 50 ms | |
//! | calls of an object that wait | [`GenericBuilder::capacity`], `GenericProcessBuilder::capacity`, 1024 | an error that gives the call back |
//! | requests that a process does not read | `GenericProcessBuilder::max_output`, 64 MiB | the same |
//! | a reply of a process | `GenericProcessBuilder::limits`, 16 MiB and 1 048 576 items | the process is killed |
//! | the time of a request | `GenericProcessBuilder::time_limit`, none | the process is killed |
//! | jobs that run | [`JobQueueBuilder::workers`], 8 | the others wait |
//! | jobs that wait | [`JobQueueBuilder::capacity`], 65 536 | an error that gives the job back |
//! | the time of a job | [`JobQueueBuilder::time_limit`], none | it is given up |
//! | look-ups at a time, and that wait | [`ResolverBuilder::parallel`], 16, [`ResolverBuilder::capacity`], 4096 | the others wait; an error |
//! | the time of a look-up | [`ResolverBuilder::timeout`], 30 s | an error event |
//! | names in the cache | `ResolverBuilder::cache`, 1024 | the oldest go |
//! | echo requests on their way, and all | `PingBuilder::parallel`, 64, `PingBuilder::capacity`, 4096 | the others wait; an error |
//! | the time of an echo request | `PingBuilder::timeout`, 1 s, and `PingBuilder::retries`, 1 | an error event |
//! | topics | [`PubSubBuilder::max_topics`], 1024 | an error |
//! | subscribers of a topic | [`PubSubBuilder::max_subscribers`], 4096 | an error |

#[cfg(feature = "cron")]
mod cron;
mod dir_watch;
mod generic;
mod job_queue;
mod life;
mod panics;
#[cfg(feature = "ping")]
mod ping;
mod pub_sub;
mod resolver;

// The README's code, compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "cron")]
pub use cron::{Cron, CronBuilder, CronEntry, CronError, CronTick, MissedRuns};
pub use dir_watch::{DirWatch, DirWatchBuilder, DirWatchError, FileChange};
pub use generic::{Generic, GenericBuilder, GenericError, GenericRefused};
#[cfg(all(unix, feature = "process"))]
pub use generic::{GenericProcess, GenericProcessBuilder};
#[cfg(feature = "process")]
pub use generic::{serve_process, serve_process_on};
pub use job_queue::{JobDone, JobError, JobId, JobQueue, JobQueueBuilder, JobRefused, JobResult};
pub use life::SHUTDOWN;
#[cfg(feature = "ping")]
pub use ping::{Ping, PingBuilder, PingError, PingRefused, Pong};
pub use pub_sub::{PubSub, PubSubBuilder, PubSubError, PubSubRefused, TopicInfo};
#[cfg(feature = "dns")]
pub use resolver::DnsRecord;
pub use resolver::{ResolveError, Resolver, ResolverBuilder};
