//! `t/90_regression/rt65460-forking.t`: a worker gets frozen data by its standard input and answers likewise, with the bytes
//! cut anywhere. What it says beyond that, of a kernel that was forked, has no meaning for a process with threads.

use crate::laws_kit::{said, say};
use crate::wheel_run::{CLOSE, EXIT, run, wheel};
use bytes::BytesMut;
use poe::event::START;
use poe::filter::{Filter, FilterExt, Reference, Storable};
use poe::wheel::{CallbackIo, Input, Run};
use poe::{Event, HandlerResult, Kernel, Session};
use std::io::{self, Read, Write};

const ANSWER: Event<Input<Vec<u32>>> = Event::new("answer");

fn frames() -> Reference<Storable<Vec<u32>>> {
    Reference::new(Storable::new())
}

/// Doubles all numbers, until its input ends.
fn worker(io: &mut CallbackIo) -> io::Result<()> {
    let (mut frames, mut block, mut out) = (frames(), [0; 7], BytesMut::new());
    loop {
        let read = io.stdin.read(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        for job in frames.get(&block[..read]) {
            let answer = job.map_err(io::Error::other)?.iter().map(|number| number * 2).collect();
            frames.put(answer, &mut out).map_err(io::Error::other)?;
        }
        io.stdout.write_all(&out.split())?;
        io.stdout.flush()?;
    }
}

#[tokio::test]
async fn a_worker_is_sent_frozen_data_by_its_standard_input() {
    let kernel = Kernel::new();
    Session::builder(None::<Run>)
        .on(START, |cx, ()| -> HandlerResult {
            let builder = Run::callback(worker).stdin_filter(frames()).stdout(frames(), ANSWER);
            *cx.heap = Some(builder.close(CLOSE).exit(EXIT).start(cx)?);
            for job in [vec![1_u32, 2, 3], vec![], vec![2_000_000_000]] {
                wheel(cx).put(job)?;
            }
            Ok(())
        })
        .on(ANSWER, |cx, input| {
            say(format!("{:?}", input.record));
            if input.record.len() == 1 {
                wheel(cx).shutdown_stdin();
            }
        })
        .on(CLOSE, |_, _| say("close"))
        .on(EXIT, |_, exited| {
            assert!(exited.status.is_some_and(|status| status.success()))
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["[2, 4, 6]", "[]", "[4000000000]", "close"]);
}
