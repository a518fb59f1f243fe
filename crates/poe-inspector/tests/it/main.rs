//! An inspector, asked over sockets.

mod actions;
mod attacks;
mod console;
mod kernels;
mod kit;
mod looking;
