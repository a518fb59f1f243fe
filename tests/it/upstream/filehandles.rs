//! `t/20_resources/00_base/filehandles.pm`: which files are watched in which mode and state, for which session, and the references that
//! watching takes. (Tied handles are Perl's; POE counts one reference per descriptor, ours one per descriptor and mode.)

use crate::laws_kit::{said, say};
use crate::peek_kit::Peek as _;
use poe::event::{START, STOP};
use poe::testing::assert_no_leaks;
use poe::{
    Context, Event, HandlerResult, Kernel, Session,
    unix::{SelectMode, Selected, Watched},
};
use std::os::unix::net::UnixStream;

const READ: Event<Selected> = Event::new("event-rd");
const WRITE: Event<Selected> = Event::new("event-wr");
const EXPEDITE: Event<Selected> = Event::new("event-ex");

type Cx<'k> = Context<'k, ()>;

/// The session's watches of a descriptor: `r`, `w`, `x`, in capitals while paused.
fn modes(cx: &Cx<'_>, file: &Watched) -> String {
    use std::os::fd::{AsFd, AsRawFd};
    let snapshot = cx.snapshot();
    let session = snapshot.session(cx.session_id()).unwrap();
    let of_file = session
        .files
        .iter()
        .filter(|f| f.descriptor == file.as_fd().as_raw_fd());
    let mut found: Vec<(SelectMode, String)> = of_file
        .map(|f| {
            let (letter, event) = match f.mode {
                SelectMode::Read => ("r", "event-rd"),
                SelectMode::Write => ("w", "event-wr"),
                SelectMode::Expedite => ("x", "event-ex"),
            };
            assert_eq!(f.event, event);
            assert!(snapshot.is_handle_tracked(file, f.mode));
            let letter = if f.is_paused {
                letter.to_uppercase()
            } else {
                letter.to_owned()
            };
            (f.mode, letter)
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, letter)| letter).collect()
}

fn refs(cx: &Cx<'_>) -> usize {
    cx.snapshot().get_session_refcount(cx.session_id())
}

/// Runs `f` in a session that nothing else holds.
async fn in_session(f: impl Fn(&mut Cx<'_>) -> HandlerResult + 'static) {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("wait", ()))
        .on("wait", |cx, ()| cx.yield_to("go", ()))
        .on("go", move |cx, ()| f(cx))
        .on(READ, |_, _| say("read"))
        .on(WRITE, |_, _| say("write"))
        .on(EXPEDITE, |_, _| say("expedite"))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    let run = tokio::time::timeout(std::time::Duration::from_secs(10), kernel.run());
    run.await.expect("it hangs").unwrap();
    assert_no_leaks(&kernel);
    assert_eq!(kernel.snapshot().handle_count(), 0);
    assert_eq!(said(), ["stop"]);
}

#[tokio::test]
async fn two_descriptors_in_three_modes_added_paused_and_removed() {
    in_session(|cx| {
        let (a, b) = UnixStream::pair()?;
        let (a, b) = (Watched::new(&a)?, Watched::new(&b)?);
        let base = refs(cx);

        cx.select(&a, SelectMode::Read, READ, ())?;
        assert_eq!((modes(cx, &a), refs(cx)), ("r".to_owned(), base + 1));
        cx.select(&b, SelectMode::Read, READ, ())?;
        assert_eq!((modes(cx, &b), refs(cx)), ("r".to_owned(), base + 2));
        cx.select(&a, SelectMode::Write, WRITE, ())?;
        assert_eq!(modes(cx, &a), "rw");
        cx.select(&b, SelectMode::Expedite, EXPEDITE, ())?;
        assert_eq!((modes(cx, &a), modes(cx, &b)), ("rw".to_owned(), "rx".to_owned()));
        let all = refs(cx);
        assert!(all >= base + 2);

        let snapshot = cx.snapshot();
        for (file, mode, watched) in [
            (&a, SelectMode::Read, true),
            (&a, SelectMode::Write, true),
            (&a, SelectMode::Expedite, false),
            (&b, SelectMode::Read, true),
            (&b, SelectMode::Write, false),
            (&b, SelectMode::Expedite, true),
        ] {
            assert_eq!(snapshot.is_handle_tracked(file, mode), watched);
        }
        let stranger = Watched::new(std::io::stdin())?;
        assert!(!snapshot.is_handle_tracked(&stranger, SelectMode::Read));
        assert_eq!(snapshot.handle_count(), 2);
        assert_eq!(snapshot.session_handle_count(cx.session_id()), 2);
        assert_eq!(snapshot.session_handle_count("nonexistent"), 0);

        assert!(cx.select_pause(&a, SelectMode::Read));
        assert_eq!((modes(cx, &a), refs(cx)), ("Rw".to_owned(), all));
        assert!(cx.select_resume(&a, SelectMode::Read));
        assert_eq!((modes(cx, &a), refs(cx)), ("rw".to_owned(), all));

        assert!(cx.select_clear(&a, SelectMode::Read));
        assert_eq!(modes(cx, &a), "w");
        assert!(cx.select_clear(&a, SelectMode::Write));
        assert_eq!(modes(cx, &a), "");
        assert!(!cx.snapshot().is_handle_tracked(&a, SelectMode::Write));
        let only_b = refs(cx);
        assert!(!cx.select_clear(&a, SelectMode::Read), "it is gone already");
        assert!(!cx.select_clear(&stranger, SelectMode::Read));
        assert_eq!(refs(cx), only_b);

        cx.select_clear(&b, None);
        assert_eq!((modes(cx, &b), refs(cx)), (String::new(), base));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_regular_file_in_two_modes_and_watching_again_resumes() {
    in_session(|cx| {
        let base = refs(cx);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let file = Watched::new(std::fs::File::open(path)?)?;
        cx.select(&file, SelectMode::Read, READ, ())?;
        cx.select(&file, SelectMode::Write, WRITE, ())?;
        assert_eq!(modes(cx, &file), "rw");
        let both = refs(cx);
        assert!(cx.select_pause(&file, SelectMode::Read));
        assert_eq!(modes(cx, &file), "Rw");
        cx.select(&file, SelectMode::Read, READ, ())?;
        assert_eq!((modes(cx, &file), refs(cx)), ("rw".to_owned(), both));

        // Another handle of the same file is a descriptor of its own.
        let duplicate = Watched::new(&file)?;
        cx.select(&duplicate, SelectMode::Read, READ, ())?;
        assert_eq!(cx.snapshot().handle_count(), 2);
        cx.select_clear(&duplicate, None);

        assert!(cx.select_clear(&file, SelectMode::Read) && cx.select_clear(&file, SelectMode::Write));
        assert_eq!((modes(cx, &file), refs(cx)), (String::new(), base));
        Ok(())
    })
    .await;
}

/// POE's `handle_clear_session` and `handle_finalize`: a session's end drops all its watches.
#[tokio::test]
async fn all_watches_go_with_their_session() {
    in_session(|cx| {
        let (a, b) = UnixStream::pair()?;
        for file in [Watched::new(&a)?, Watched::new(&b)?] {
            cx.select(&file, SelectMode::Read, READ, ())?;
            cx.select(&file, SelectMode::Write, WRITE, ())?;
            cx.select(&file, SelectMode::Expedite, EXPEDITE, ())?;
        }
        assert_eq!(cx.snapshot().handle_count(), 2);
        cx.signal(cx.session_id(), "TERM", ())?;
        // The signal comes before the next look at the descriptors only if none of them is ready in between.
        for file in cx.snapshot().session(cx.session_id()).unwrap().files.iter() {
            assert!(!file.is_paused);
        }
        cx.stop_all();
        assert_eq!(cx.snapshot().handle_count(), 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_paused_descriptor_holds_its_session_and_is_silent() {
    in_session(|cx| {
        let (a, _b) = UnixStream::pair()?;
        let a = Watched::new(&a)?;
        cx.select(&a, SelectMode::Write, WRITE, ())?;
        assert!(cx.select_pause(&a, SelectMode::Write));
        let held = refs(cx);
        assert!(held > 0);
        cx.state("later", move |cx, ()| {
            assert_eq!(modes(cx, &a), "W");
            assert!(cx.select_clear(&a, SelectMode::Write));
        });
        cx.delay("later", std::time::Duration::from_millis(20), ());
        Ok(())
    })
    .await;
}
