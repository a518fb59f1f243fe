//! `t/20_resources/00_base/sids.pm`: the table of IDs.

use crate::laws_kit::*;

#[tokio::test(start_paused = true)]
async fn ids_count_from_one_resolve_while_their_session_lives_and_are_not_given_again() {
    let kernel = kernel();
    assert_eq!(kernel.id().get(), 0);
    assert!(kernel.is_alive(kernel.id()));
    assert_eq!(kernel.session_by_number(0), Some(kernel.id()));

    let first = life("first", nothing).create(&kernel).unwrap();
    assert_eq!(first.get(), 1);
    assert_eq!(kernel.resolve(first), Some(first));
    assert_eq!(kernel.session_by_number(1), Some(first));
    assert_eq!(kernel.session_by_number(2), None);
    run(&kernel).await;

    assert_eq!(kernel.resolve(first), None);
    assert_eq!(kernel.session_by_number(1), None);
    assert!(!kernel.is_alive(first));
    assert_eq!(first.get(), 1, "it can still be read");

    // The place of the first is free, its ID is not.
    let second = life("second", nothing).create(&kernel).unwrap();
    assert_eq!(second.get(), 2);
    assert_ne!(first, second);
    assert!(!kernel.is_alive(first));
    assert!(kernel.post(first, "bye", ()).unwrap_err().is_no_such_session());
    run(&kernel).await;
    assert_eq!(said(), ["first stop", "second stop"]);
    assert_eq!(kernel.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_kernel_finds_no_session() {
    let (one, two) = (kernel(), kernel());
    let of_one = life("one", nothing).create(&one).unwrap();
    let of_two = life("two", nothing).create(&two).unwrap();
    assert_eq!((of_one.get(), of_two.get()), (1, 1));
    assert!(one.is_alive(of_one) && two.is_alive(of_two));
    run(&one).await;
    run(&two).await;
    assert!(!one.is_alive(of_one));
}
