//! A kernel stays on its thread; `kernel.handle()` is for the others.

use poe::Kernel;

fn main() {
    let kernel = Kernel::new();
    std::thread::spawn(move || kernel.session_count());
}
