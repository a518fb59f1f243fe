//! Each component against a model, or with what may go wrong.

#[cfg(feature = "cron")]
mod cron;
mod dir_watch;
#[cfg(feature = "cron")]
mod example;
mod generic;
mod job_queue;
mod kit;
#[cfg(feature = "ping")]
mod ping;
mod pub_sub;
mod resolver;
