//! The phrasebook's pages of IKC: each Rust program prints its text file, and so does its Perl twin.

use std::path::PathBuf;
use std::process::Command;

const MARK: &str = "POE_IKC_TEST_PHRASE";
const BEGIN: &str = "-- begin --\n";
const END: &str = "-- end --\n";

fn file(name: &str, extension: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/phrasebook/ikc");
    folder.join(name).with_extension(extension)
}

fn expected(name: &str) -> String {
    std::fs::read_to_string(file(name, "txt")).unwrap()
}

/// Runs the test in a separate process, because its program prints to the process's output.
fn program_prints(name: &str, test: &str) {
    // The harness names a test without the crate.
    let (_, path) = test.split_once("::").unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", path, "--nocapture", "--test-threads", "1"])
        .env(MARK, test)
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    let printed = stdout
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .unwrap_or_else(|| panic!("{stdout}\n{stderr}"))
        .0;
    assert_eq!(printed, expected(name));
}

fn perl_prints(name: &str) {
    let ended = Command::new("perl").arg(file(name, "pl")).output().unwrap();
    // It is no package of Debian; set PERL5LIB to where it is.
    if String::from_utf8_lossy(&ended.stderr).contains("Can't locate POE/Component/IKC") {
        println!("skipped: there is no POE::Component::IKC");
        return;
    }
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(String::from_utf8_lossy(&ended.stdout), expected(name));
}

macro_rules! phrases {
    ($($name:ident)*) => {
        $(
            mod $name {
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/phrasebook/ikc/", stringify!($name), ".rs"));

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
                #[ignore = "needs Perl's POE and POE::Component::IKC"]
                fn perl_prints_the_same() {
                    super::perl_prints(stringify!($name));
                }
            }
        )*

        #[test]
        fn every_phrase_is_tested() {
            let tested = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(file("client", "txt").parent().unwrap()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(tested.contains(&name), "{name} is not in the list of tests");
            }
        }
    };
}

phrases! { client lite proxy }
