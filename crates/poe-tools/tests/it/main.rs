//! Each component against a model, or with what may go wrong.

#[cfg(feature = "cron")]
mod cron;
mod dir_watch;
mod generic;
mod job_queue;
mod kit;
mod pub_sub;
