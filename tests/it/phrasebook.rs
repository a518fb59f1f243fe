//! The guide's phrasebook: each Rust program prints what stands there, and so does its Perl twin.

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

/// Runs the test `name` in a process of its own, since its program prints to the process's output.
fn program_prints(name: &str, test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            test.strip_prefix("it::").unwrap_or(test),
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(MARK, test)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let printed = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let Some((printed, _)) = printed else {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    };
    assert_eq!(printed, expected(name));
}

fn perl_prints(name: &str) {
    let output = Command::new("timeout")
        .args(["60", "perl"])
        .arg(file(name, "pl"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected(name));
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
    follow_tail;
    messages;
    nfa;
    poe;
    postbacks;
    #[cfg(unix)]
    read_write;
    #[cfg(unix)]
    selects;
    session;
    #[cfg(unix)]
    signals;
    socket_factory;
    timers;
}
