//! Rules that hold for every schedule, whatever the model says: they read the log of the real sessions.

use super::model::Alive;
use poe::inspect::{HoldKind, SessionHolds, WhyAlive};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::BTreeMap;

/// A session as the model counts it: a tag is one hold, however high its count.
pub(super) fn alive(session: &SessionHolds) -> Alive {
    let holds = session.holds.iter().map(|h| match h.kind {
        HoldKind::Refcount | HoldKind::Postback => 1,
        _ => h.count as u64,
    });
    Alive {
        session: session.session.get(),
        parent: session.parent.get(),
        aliases: session.aliases.iter().map(ToString::to_string).collect(),
        holds: holds.sum(),
    }
}

/// Between slices no session is alive that nothing holds (laws L26, L28), and the tree has no gaps.
pub(super) fn held(why: &WhyAlive) -> Result<(), TestCaseError> {
    for session in &why.sessions {
        prop_assert!(!session.holds.is_empty(), "{}", session);
        let parent = session.parent;
        prop_assert!(
            parent.is_kernel() || why.sessions.iter().any(|s| s.session == parent),
            "{session} has a parent that is gone"
        );
    }
    Ok(())
}

/// What the log says of one session.
#[derive(Default)]
struct Seen {
    started: bool,
    stopped: bool,
    lost: usize,
}

/// Each life: `_start` first and once (if it was not posted), `_stop` at most once, nothing queued after it; `_child`
/// of sessions that have started; times that never go back; posts first in, first out.
pub(super) fn lives(log: &[String]) -> Result<(), TestCaseError> {
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    let (mut time, mut last) = (0_u64, 0_u64);
    for line in log.iter().filter(|l| !l.starts_with(' ')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [
            now,
            session,
            event,
            "from",
            _,
            "in",
            by,
            "active",
            active,
            during,
            came @ ..,
        ] = &words[..]
        else {
            prop_assert!(false, "a line of another kind: {line}");
            return Ok(());
        };
        let now: u64 = now.parse().map_err(|_| TestCaseError::fail(line.clone()))?;
        prop_assert!(now >= time, "time goes back: {line}");
        time = now;
        let me = seen.entry(session).or_default();
        prop_assert_eq!(*event == "_start", !me.started, "a life begins with _start: {}", line);
        me.started = true;
        match *event {
            "_stop" => {
                prop_assert!(!me.stopped, "a second _stop: {line}");
                me.stopped = true;
            }
            // Called, it may run as long as it is not freed (law L34); queued, nothing may (law L33).
            "asked" | "_child" | "_parent" | "_default" | "heard" => {}
            _ => prop_assert!(!me.stopped, "an event after _stop: {line}"),
        }
        // It is the active session, unless `stop` was called further up (law L87), which a new dispatch ends.
        prop_assert!(active == session, "another session is active: {line}");
        if *event != "_default" && *event != "asked" {
            prop_assert_eq!(during, event, "another event is active: {}", line);
        }
        if *event == "told" {
            let token: u64 = came[0].parse().map_err(|_| TestCaseError::fail(line.clone()))?;
            prop_assert!(token > last, "posts out of order: {line}");
            last = token;
            prop_assert!(*by != "-", "a post from nowhere: {line}");
        }
        if *event == "_child" {
            let child = seen.entry(came[1]).or_default();
            prop_assert!(child.started, "a child that has not started: {line}");
            if came[0] == "lose" {
                child.lost += 1;
            }
        }
    }
    Ok(())
}
