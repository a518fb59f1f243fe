//! Plays a program on this crate's kernel, under virtual time.

mod life;
mod step;
mod world;

use crate::program::{Family, Program};
use life::{enter, machine, session};
use poe::{Error, Kernel, testing};
use std::rc::Rc;
use std::time::Duration;
use step::{count, number_of};
use world::*;

/// What is done outside of any session.
fn outside(kernel: &Kernel, world: &Rc<World>, line: &str) -> Result<String, Error> {
    let mut words = line.split(' ');
    let action = words.next().unwrap_or_default();
    let word = words.clone().next().unwrap_or_default();
    let (n, k) = (number_of(words.next()), number_of(words.next()));
    let who = || world.who(n, kernel.id());
    let gone = || "gone".to_owned();
    Ok(match action {
        "create" if word.contains('m') => {
            let machine = machine(world, word).start(kernel)?;
            let mut caller = kernel;
            enter(world, &machine, &mut caller).to_string()
        }
        "create" => session(world, word).create(kernel)?.to_string(),
        // Between two runs POE's kernel is no session.
        _ if kernel.session_count() == 0 => "-".to_owned(),
        "post" | "nowhere" => {
            let token = world.token();
            let event = if action == "post" { TOLD } else { NOWHERE };
            who().map_or_else(gone, |to| posted(kernel.post(to, event, token)))
        }
        "post_alias" => posted(kernel.post(ALIASES[n as usize], TOLD, world.token())),
        "call" => {
            let token = world.token();
            match who().map(|to| kernel.call(to, ASKED, token)) {
                Some(Err(e)) if world.uncaught && e.is_died() => "died".to_owned(),
                Some(result) => called(result),
                None => "nothing".to_owned(),
            }
        }
        "signal" if SIGNALS[k as usize] == "DIE" && world.die_sent.replace(true) => "-".to_owned(),
        "signal" => {
            let signal = SIGNALS[k as usize];
            let token = (signal != "DIE").then(|| world.token());
            match (who(), token) {
                (Some(to), Some(token)) => posted(kernel.signal(to, signal, token)),
                (Some(to), None) => posted(kernel.signal(to, signal, ())),
                (None, _) => gone(),
            }
        }
        "inc" => who().map_or_else(gone, |of| count(kernel.refcount_increment(of, TAGS[k as usize]))),
        "dec" => who().map_or_else(gone, |of| count(kernel.refcount_decrement(of, TAGS[k as usize]))),
        _ => "-".to_owned(),
    })
}

/// A run is over after that many slices (as in `differential.pl`).
const SLICES: usize = 300;

/// Slice after slice to the end of a run; says where each ended that did something. A machine that is told of IDLE is told in each
/// slice, for ever.
async fn slices(kernel: &Kernel, world: &World) -> Result<(), Error> {
    for _ in 0..SLICES {
        let before = world.log.borrow().len();
        let goes_on = kernel.run_one_timeslice().await;
        if world.log.borrow().len() > before {
            world.say("slice".to_owned());
        }
        if !goes_on? {
            return Ok(());
        }
    }
    world.say("and so on".to_owned());
    Ok(())
}

/// A run of the kernel, until nothing more happens; how it ended, and who is left.
async fn ran(family: Family, kernel: &Kernel, world: &World, until: i64) -> bool {
    let left = Duration::from_millis((until - world.now()) as u64 * 500);
    let run = async {
        match family {
            Family::Slices => slices(kernel, world).await,
            _ => kernel.run().await,
        }
    };
    let ended = tokio::time::timeout(left, run).await;
    let failed = matches!(ended, Ok(Err(_)));
    world.say(match ended {
        Ok(Ok(())) => "run returned".to_owned(),
        Ok(Err(error)) => format!("run failed: {}", failure(&error.to_string())),
        Err(_) => "nothing more happens".to_owned(),
    });
    let left = Duration::from_millis((until - world.now()) as u64 * 500);
    tokio::time::advance(left).await;
    let sessions = world.sessions.borrow();
    let alive = sessions.iter().flatten().filter(|id| kernel.is_alive(**id));
    world.say(alive.fold("alive".to_owned(), |line, id| format!("{line} {id}")));
    failed
}

async fn play_all(program: &Program, budget: u32) -> Vec<String> {
    let kernel = testing::builder()
        .budget(budget)
        .catch_exceptions(program.family != Family::Uncaught)
        .build();
    let world = Rc::new(World::new(program.batches.clone(), program.family == Family::Uncaught));
    let mut until = 0;
    for (round, lines) in program.rounds.iter().enumerate() {
        until += ROUND;
        world.say(format!("round {round}"));
        for line in lines {
            let result = outside(&kernel, &world, line).unwrap_or_else(|e| e.to_string());
            world.say(format!("  kernel {line}: {result}"));
        }
        let failed = ran(program.family, &kernel, &world, until).await;
        // What a slice that failed has left is another matter.
        if failed && program.family == Family::Slices {
            break;
        }
    }
    world.say("stop".to_owned());
    if let Err(error) = kernel.stop_all() {
        world.say(error.to_string());
    }
    ran(program.family, &kernel, &world, until + ROUND).await;
    drop(kernel);
    world.log.take()
}

/// The transcript of a program. With a budget of 1 the kernel gives way to its host after every event, which must not
/// show.
pub(crate) fn transcript(program: &Program, budget: u32) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(play_all(program, budget))
}
