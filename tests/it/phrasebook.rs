//! The guide's phrasebook: each Rust program prints its text file, and so does its Perl twin.

use crate::in_child;
use std::path::PathBuf;
use std::process::Command;

const MARK: &str = "POE_TEST_PHRASE";
const BEGIN: &str = "-- begin --\n";
const END: &str = "-- end --\n";

fn file(name: &str, extension: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/phrasebook");
    folder.join(name).with_extension(extension)
}

fn expected(name: &str) -> String {
    std::fs::read_to_string(file(name, "txt")).unwrap()
}

/// Runs the test `name` in a separate process, because its program prints to the process's output.
fn program_prints(name: &str, test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(in_child::arguments(test)).env(MARK, test);
    let ended = in_child::output(&mut command, test);
    let printed = ended
        .stdout
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END));
    let Some((printed, _)) = printed else {
        panic!("{}", ended.told());
    };
    assert_eq!(printed, expected(name));
}

fn perl_prints(name: &str) {
    let ended = in_child::output(Command::new("perl").arg(file(name, "pl")), name);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stdout, expected(name));
}

macro_rules! phrases {
    ($($(#[$only:meta])* $name:ident;)*) => {
        $(
            $(#[$only])*
            mod $name {
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/phrasebook/", stringify!($name), ".rs"));

                #[test]
                fn prints() {
                    let test = concat!(module_path!(), "::prints");
                    if std::env::var(super::MARK).as_deref() != Ok(test) {
                        super::program_prints(stringify!($name), test);
                        return;
                    }
                    print!("\n{}", super::BEGIN);
                    main().unwrap();
                    print!("{}", super::END);
                }

                #[test]
                #[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
                fn perl_prints_the_same() {
                    super::perl_prints(stringify!($name));
                }
            }
        )*

        #[test]
        fn every_phrase_is_tested() {
            let tested = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(file("", "").parent().unwrap().join("phrasebook")).unwrap() {
                let path = entry.unwrap().path();
                // Those of a satellite are tested there.
                if path.is_dir() || path.extension().is_some_and(|extension| extension == "md") {
                    continue;
                }
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(tested.contains(&name), "{name} is not in the list of tests");
            }
        }
    };
}

phrases! {
    #[cfg(unix)]
    children;
    #[cfg(unix)]
    filters;
    #[cfg(unix)]
    follow_tail;
    messages;
    nfa;
    poe;
    postbacks;
    #[cfg(unix)]
    read_write;
    #[cfg(unix)]
    run;
    #[cfg(unix)]
    selects;
    session;
    #[cfg(unix)]
    signals;
    socket_factory;
    tcp;
    timers;
}
