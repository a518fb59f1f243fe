//! Programs of wheels, sockets, pipes, watched files and children, on the real system.

mod ends;
pub(crate) mod program;
mod setup;
mod world;

use crate::program::Program;
use poe::event::START;
use poe::{Event, Kernel, Session};
use setup::act_by_line;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};
use world::Io;

const LEAVE: Event<()> = Event::new("leave");

/// Lets the kernel run until nothing can happen any more but by another step: Tokio's clock is paused, and goes on only
/// when nobody has anything to do and no descriptor is ready. The kernel's own clock runs. False if the run has ended.
async fn settled(io: &Io, run: &mut (impl Future<Output = Result<(), poe::Error>> + Unpin)) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    // What goes through TCP may be on its way for a moment.
    let mut quiet = if io.tcp.get() { 3 } else { 1 };
    loop {
        tokio::select! {
            biased;
            ended = &mut *run => {
                io.say("main", match ended {
                    Ok(()) => "run returned".to_owned(),
                    Err(error) => format!("run failed: {error}"),
                });
                return false;
            }
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
        if io.in_flight.get() > 0 {
            assert!(Instant::now() < deadline, "a child never ended\n{:?}", io.logs);
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        quiet -= 1;
        if quiet == 0 {
            return true;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

async fn play(program: &Program, budget: u32) -> Vec<String> {
    let kernel = Kernel::builder().budget(budget).build();
    let io = Rc::new(Io::new(program.batches.clone()));
    let guard = Session::builder(())
        .on(START, |cx, ()| cx.delay("for ever", Duration::from_secs(1_000_000), ()))
        .on(LEAVE, |cx, ()| drop(cx.alarm_remove_all()))
        .create(&kernel)
        .expect("a session");
    {
        let mut run = pin!(kernel.run());
        for step in &program.rounds {
            let mut lines = step.iter();
            let mut rest = Vec::new();
            let mut target = None;
            for line in &mut lines {
                if line.starts_with("at ") {
                    target = Some(io.find(line));
                } else if target.is_some() {
                    rest.push(line.clone());
                } else {
                    let result = act_by_line(&kernel, &io, line);
                    io.say("main", format!("  main {line}: {result}"));
                }
            }
            match target {
                Some(Some(end)) => io.tell(&kernel, end, rest),
                Some(None) => io.say("main", "nobody".to_owned()),
                None => {}
            }
            settled(&io, &mut run).await;
            while io.close_those_that_asked(&kernel) {
                settled(&io, &mut run).await;
            }
            io.step_is_over();
        }
        io.say("main", format!("alive {}", io.alive(&kernel)).trim_end().to_owned());
        kernel.post(guard, LEAVE, ()).expect("it is there");
        if settled(&io, &mut run).await {
            io.say("main", "stop".to_owned());
            kernel.stop_all().expect("nobody is running");
            settled(&io, &mut run).await;
        }
    }
    drop(kernel);
    io.transcript()
}

/// The transcript of a program, end by end.
pub(crate) fn transcript(program: &Program, budget: u32) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(play(program, budget))
}
