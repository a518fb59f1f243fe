//! POE's k_signals: eight children killed and reported by CHLD, a client and a server that end by IDLE, USR1 and PIPE.
//! The scenario is the transcript of the same name, which is compared with Perl's line by line; here are its counts.

use crate::in_child::in_child;
use crate::transcripts;

#[tokio::test]
async fn all_are_forked_killed_and_reaped_and_both_signals_are_caught_once() {
    in_child!();
    transcripts::set_virtual(false);
    transcripts::k_signals::play().await;
    let lines = transcripts::take_lines();
    let count = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count();
    assert!(lines.contains(&"made 8".to_owned()) && lines.contains(&"killed 8".to_owned()));
    assert_eq!(count("CHLD of mine, status 9"), 8);
    assert_eq!(count("CHLD of another"), 0);
    assert_eq!((count("got USR1"), count("got PIPE")), (1, 1));
    assert_eq!((count("server _stop"), count("client _stop")), (1, 1));
}
