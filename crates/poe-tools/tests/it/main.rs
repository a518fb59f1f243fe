//! Each component against a model, or with what may go wrong.

mod job_queue;
mod kit;
