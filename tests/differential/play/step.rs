//! The actions inside of a session.

use super::life::{Hand, machine, session};
use super::world::*;
use poe::{Error, Failure};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// One action, and what came of it. An error is a failure of the handler.
pub(super) fn step<C: Hand>(cx: &mut C, world: &Rc<World>, line: &str) -> Result<String, Failure> {
    let mut words = line.split(' ');
    let action = words.next().unwrap_or_default();
    let word = words.clone().next().unwrap_or_default();
    let (n, k) = (number_of(words.next()), number_of(words.next()));
    let at = n as usize;
    let turn = cx.turn();
    let me = turn.session_id();
    let who = || world.who(n, turn.kernel_id());
    let gone = || Ok("gone".to_owned());
    let ok = || Ok("ok".to_owned());
    let nothing = || Ok("-".to_owned());
    // The timer of a number; none if there never was one.
    let timer = || {
        let timers = world.timers.borrow();
        let which = at.checked_rem(timers.len())?;
        Some((which, timers[which].id, timers[which].due, timers[which].exact))
    };
    if world.wall.get().is_none() {
        // A timer that is looked at and taken away again.
        let probe = turn.delay_set("probe", Duration::ZERO, ());
        let wall = turn.alarm_adjust(probe, Duration::ZERO);
        if let Ok(wall) = wall {
            world.wall.set(Some(wall - world.began.elapsed()));
            turn.alarm_remove(probe)?;
        }
    }
    let absolute = || {
        let halves = world.now().div_euclid(2) * 2 + 1 + 2 * k;
        let wall = world.wall.get().expect("a session that lives has asked");
        let span = Duration::from_millis(halves.unsigned_abs() * 500);
        (halves, if halves < 0 { wall - span } else { wall + span })
    };
    // POE would throw it out of the next call, whatever that is.
    let must_not_fail = world.uncaught
        && turn
            .active_event()
            .is_some_and(|event| event.to_string().starts_with('_'));
    Ok(match action {
        "die" | "panic" | "call" | "call_self" | "fire" if must_not_fail => return nothing(),
        "create" if world.in_stop.get() > 0 => return nothing(),
        "create" if word.contains('m') => cx.spawn(machine(world, word))?.to_string(),
        "create" => {
            let id = cx.create(session(world, word))?;
            world.known(id);
            id.to_string()
        }
        "post" => {
            let token = world.token();
            who().map_or_else(gone, |to| Ok(posted(turn.post(to, TOLD, token))))?
        }
        "post_alias" => posted(turn.post(ALIASES[at], TOLD, world.token())),
        "nowhere" => {
            let token = world.token();
            who().map_or_else(gone, |to| Ok(posted(turn.post(to, NOWHERE, token))))?
        }
        "call" | "call_self" => {
            let token = world.token();
            let to = if action == "call" { who() } else { Some(me) };
            let Some(to) = to else { return Ok("nothing".to_owned()) };
            match cx.call(to, token) {
                // A call of a session to itself is a bare invocation, out of which a failure flies.
                // So it does out of each call where failures are not caught.
                Err(e) if (to == me || world.uncaught) && e.is_died() => {
                    return Err(Failure::msg(world.thrown.borrow().clone()));
                }
                result => called(result),
            }
        }
        "signal" if SIGNALS[k as usize] == "DIE" && world.die_sent.replace(true) => {
            return nothing();
        }
        "signal" => {
            let signal = SIGNALS[k as usize];
            match (who(), signal) {
                (Some(to), "DIE") => posted(turn.signal(to, signal, ())),
                (Some(to), _) => posted(turn.signal(to, signal, world.token())),
                (None, "DIE") => return gone(),
                (None, _) => {
                    world.token();
                    return gone();
                }
            }
        }
        "inc" => match who() {
            Some(of) => count(turn.refcount_increment(of, TAGS[k as usize])),
            None => return gone(),
        },
        "dec" => match who() {
            Some(of) => count(turn.refcount_decrement(of, TAGS[k as usize])),
            None => return gone(),
        },
        "yield" => {
            turn.yield_to(TOLD, world.token());
            return ok();
        }
        "alias_set" => told(turn.alias_set(ALIASES[at])),
        "alias_remove" => told(turn.alias_remove(ALIASES[at])),
        "alias_resolve" => {
            let owner = turn.alias_resolve(ALIASES[at]);
            let mut result = owner.map_or_else(|_| "none".to_owned(), |id| id.to_string());
            for alias in turn.alias_list() {
                result = format!("{result} {alias}");
            }
            result
        }
        "delay" => {
            turn.delay(RINGS[at], halves(landing(world.now(), k)), world.token());
            return ok();
        }
        "delay_add" => {
            turn.delay_set(RINGS[at], halves(landing(world.now(), k)), world.token());
            return ok();
        }
        "delay_clear" => {
            turn.alarm_clear(RINGS[at]);
            return ok();
        }
        "delay_set" => {
            let after = landing(world.now(), k);
            let id = turn.delay_set(RINGS[at], halves(after), world.token());
            let due = world.now() + after;
            world.timers.borrow_mut().push(Timer { id, due, exact: false });
            return ok();
        }
        "alarm" => {
            turn.alarm(RINGS[at], absolute().1, world.token());
            return ok();
        }
        "alarm_add" => {
            turn.alarm_set(RINGS[at], absolute().1, world.token());
            return ok();
        }
        "alarm_set" => {
            let (due, wall) = absolute();
            let id = turn.alarm_set(RINGS[at], wall, world.token());
            world.timers.borrow_mut().push(Timer { id, due, exact: true });
            return ok();
        }
        "alarm_adjust" => {
            let Some((which, id, due, exact)) = timer() else {
                return nothing();
            };
            let by = if exact { 2 * k } else { landing(due, k) };
            if exact && due + by == world.now() {
                return nothing();
            }
            match turn.alarm_adjust(id, halves(by)) {
                Ok(wall) => {
                    world.timers.borrow_mut()[which].due += by;
                    world.halves(wall).to_string()
                }
                Err(e) => errno(&e),
            }
        }
        "delay_adjust" => {
            let Some((which, id, due, _)) = timer() else {
                return nothing();
            };
            let after = landing(world.now(), k);
            // To the time that it has it would move with a clock that goes on, and stay with one that stands.
            if world.now() + after == due {
                return nothing();
            }
            match turn.delay_adjust(id, halves(after)) {
                Ok(wall) => {
                    let timer = &mut world.timers.borrow_mut()[which];
                    (timer.due, timer.exact) = (world.now() + after, false);
                    world.halves(wall).to_string()
                }
                Err(_) => "refused".to_owned(),
            }
        }
        "alarm_remove" => {
            let Some((_, id, ..)) = timer() else { return nothing() };
            match turn.alarm_remove(id) {
                Ok(alarm) => {
                    let token = alarm.arg.downcast_ref::<Token>().copied();
                    format!("{} {} {}", alarm.event, world.halves(alarm.due), number(token))
                }
                Err(e) => errno(&e),
            }
        }
        "alarm_remove_all" => {
            let mut result = "removed".to_owned();
            for alarm in turn.alarm_remove_all() {
                let token = alarm.arg.downcast_ref::<Token>().copied();
                result = format!("{result} {} {}", alarm.event, number(token));
            }
            result
        }
        "postback" => {
            let back = own_postback(cx, world);
            keep(cx, back);
            return ok();
        }
        // D7: a machine's holds nothing in POE.
        "callback" if C::IS_MACHINE => return nothing(),
        "callback" => {
            let back = Back::Calls(turn.callback(BACKED, world.token()));
            keep(cx, back);
            return ok();
        }
        "give" => {
            let gift = Gift(own_postback(cx, world));
            who().map_or_else(gone, |to| Ok(posted(turn.post(to, GIVEN, gift))))?
        }
        "fire" | "let_go" | "weaken" if world.firing.get() > 0 => return nothing(),
        "fire" => return fire(cx, world),
        "let_go" => {
            let backs = &mut cx.life().backs;
            if !backs.is_empty() {
                let which = at % backs.len();
                drop(backs.remove(which));
            }
            return ok();
        }
        "weaken" => {
            if let Some(last) = cx.life().backs.last() {
                let back = last.take().map(Back::weaken);
                last.replace(back);
            }
            return ok();
        }
        "detach_myself" => told(cx.detach_myself()),
        "detach_child" => match who() {
            Some(child) => told(cx.detach_child(child)),
            None => return gone(),
        },
        "watch" => {
            turn.sig_with(SIGNALS[at], HEARD, world.token());
            return ok();
        }
        "ignore" => {
            turn.sig_ignore(SIGNALS[at]);
            return ok();
        }
        // By the time that sessions are stopped it is too late, but POE looks again.
        "handled" if world.in_life.get() > 0 => return nothing(),
        "handled" => {
            turn.sig_handled();
            return ok();
        }
        "mute" => {
            cx.mute();
            return ok();
        }
        "unmute" => {
            cx.unmute();
            return ok();
        }
        // D18: POE would go on with watchers that are dead, or with sessions that it stops already.
        "stop" if world.in_signal.get() + world.in_stop.get() > 0 => return nothing(),
        "stop" => {
            world.stops.set(world.stops.get() + 1);
            cx.stop_kernel();
            return ok();
        }
        "die" | "panic" => {
            world.say(format!("  {me} {action}: thrown"));
            let text = world.throw();
            if action == "panic" {
                std::panic::panic_any(text);
            }
            return Err(Failure::msg(text));
        }
        "goto" | "push" | "pop" | "quit" => match cx.change(action, STATES[at.min(2)]) {
            None => return nothing(),
            Some(result) => {
                result?;
                return ok();
            }
        },
        _ => panic!("no such action: {action}"),
    })
}

pub(super) fn number_of(word: Option<&str>) -> i64 {
    word.and_then(|w| w.parse().ok()).unwrap_or(0)
}

pub(super) fn count(result: Result<u64, Error>) -> String {
    result.map_or_else(|e| errno(&e), |n| n.to_string())
}

pub(super) fn own_postback<C: Hand>(cx: &C, world: &World) -> Back {
    let back = cx.turn().postback(BACK, world.token());
    if C::IS_MACHINE {
        Back::Holds(back)
    } else {
        Back::Posts(back)
    }
}

pub(super) fn keep<C: Hand>(cx: &mut C, back: Back) {
    cx.life().backs.push(Rc::new(RefCell::new(Some(back))));
}

/// Posts and calls by all postbacks and callbacks in the heap.
pub(super) fn fire<C: Hand>(cx: &mut C, world: &Rc<World>) -> Result<String, Failure> {
    let _within = Within::of(&world.firing);
    let stops = world.stops.get();
    let backs = cx.life().backs.clone();
    let mut result = "fired".to_owned();
    for back in backs {
        if world.stops.get() != stops {
            break;
        }
        let token = world.token();
        let fired = match &*back.borrow() {
            Some(Back::Posts(back) | Back::Holds(back)) => {
                // To a session that is dead it is a post that nobody gets.
                let _ = back.post(token);
                "ok".to_owned()
            }
            Some(Back::Calls(back)) => match cx.callback(back, token) {
                // Its own callback is a call to itself.
                Err(e) if e.is_died() => return Err(Failure::msg(world.thrown.borrow().clone())),
                result => called(result),
            },
            None => unreachable!("it is put back at once"),
        };
        result = format!("{result} {fired}");
    }
    Ok(result)
}
