//! `t/90_regression/meh-startstop-return.t`

use crate::laws_kit::*;

#[tokio::test(start_paused = true)]
async fn child_events_carry_the_replies_of_start_and_stop() {
    let kernel = kernel();
    life("parent", go)
        .on("go", |cx, ()| cx.create(life("child", nothing)).map(|_| ()))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "parent create child (child started)",
            "child stop",
            "parent lose child (child stopped)",
            "parent stop"
        ]
    );
}
