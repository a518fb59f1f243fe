//! Each component against a model, or with what may go wrong.

mod dir_watch;
mod generic;
mod job_queue;
mod kit;
mod pub_sub;
