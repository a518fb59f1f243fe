//! `POE::Test::Loops::k_run_returns`

use crate::laws_kit::*;

#[tokio::test(start_paused = true)]
async fn run_returns_right_away_when_there_is_no_session() {
    let kernel = kernel();
    assert!(poll_once(kernel.run()).unwrap().is_ok());
}
