//! A key that ends the line ends it, whatever else is going on; and a history file has its old content until it has the new one.

use crate::readline::{reader, run};
use crate::terminal::{Terminal, on_terminal};
use poe::{Event, Kernel, Session, event::START};
use poe_terminal::{ReadLine, ReadLineBuilder, ReadLineInput, ReadLineMode};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::path::Path;

const WORDS: [&str; 4] = ["alpha", "alphabet", "world", "worth"];

fn completing(builder: ReadLineBuilder) -> ReadLineBuilder {
    builder.completer(|word, _, _| {
        let fitting = WORDS.iter().filter(|known| known.starts_with(word));
        fitting.map(|known| (*known).to_owned()).collect()
    })
}

/// Keys, in two bursts with what is shown between them, and what comes of them.
const ENDS: &[(&str, &str, &str, &str)] = &[
    // A menu is open, and nothing was gone to in it.
    ("al\t", "alphabet", "\r", "Line(\"alpha\")"),
    ("al\t", "alphabet", "\n", "Line(\"alpha\")"),
    ("wo\t", ">WORLD", "\r", "Line(\"wor\")"),
    ("wo\t", ">WORLD", "ld\r", "Line(\"world\")"),
    ("wo\t", ">WORLD", "\x03", "Interrupt"),
    ("wo\t", ">WORLD", "\x07", "Cancel"),
    ("\t", "alphabet", "\x03", "Interrupt"),
    ("say \t", "alphabet", "\r", "Line(\"say \")"),
    // Something was.
    ("wo\t", ">WORLD", "\t", ""),
    ("", ">WORTH", "\r", "Line(\"worth\")"),
    // The menu is gone when the next line begins.
    ("x", "x", "\r", "Line(\"x\")"),
    // A search goes on, whether it has found something or not.
    ("\x12al", "i-search)`al'", "\r", "Line(\"alpha\")"),
    ("\x12al", "i-search)`al'", "\x03", "Interrupt"),
    ("\x12al", "i-search)`al'", "\x07", "Cancel"),
    ("\x12qq", "i-search)`qq'", "\r", "Line(\"\")"),
    ("\x13qq", "i-search)`qq'", "\x03", "Interrupt"),
    // Keys that wait for others, and counts.
    ("ab\x18", "ab", "\r", "Line(\"ab\")"),
    ("ab\x18", "ab", "\x03", "Interrupt"),
    ("ab\x1d", "ab", "\r", "Line(\"ab\")"),
    ("ab\x1d", "ab", "\x03", "Interrupt"),
    ("ab\x1b-", "ab", "\r", "Line(\"ab\")"),
    ("ab\x1b-", "ab", "\n", "Line(\"ab\")"),
    ("ab\x1b-\x1b3", "ab", "\x03", "Interrupt"),
    ("ab\x1b3", "ab", "\r", "Line(\"ab\")"),
    ("ab\x1b3", "ab", "\x07", "Cancel"),
];

fn play(terminal: &mut Terminal, ends: &[(&str, &str, &str, &str)]) {
    for (keys, shown, end, told) in ends {
        if !keys.is_empty() {
            terminal.wait_for("p> ");
            terminal.press(keys);
        }
        terminal.wait_for(shown);
        terminal.press(end);
        if !told.is_empty() {
            terminal.wait_for(&format!("<{told}>"));
        }
    }
}

/// A folder of this test's own, which goes with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("poe-terminal-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_key_that_ends_the_line_ends_it_in_every_state() {
    on_terminal!(|terminal| {
        play(terminal, ENDS);
        // In one burst, with nothing shown in between.
        for (keys, told) in [
            ("al\t\r", "Line(\"alpha\")"),
            ("wo\t\n", "Line(\"wor\")"),
            ("wo\tl\t\r", "Line(\"world \")"),
            ("wo\t\x03", "Interrupt"),
            ("\x12wor\r", "Line(\"world \")"),
            ("a\x18\r", "Line(\"a\")"),
        ] {
            terminal.wait_for("p> ");
            terminal.press(keys);
            terminal.wait_for(&format!("<{told}>"));
        }
        terminal.wait_for("p> ");
        terminal.press("\t");
        terminal.wait_for("alphabet");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    run(reader(completing)).await;
}

#[tokio::test]
async fn a_key_that_ends_the_line_ends_it_in_vi_mode() {
    on_terminal!(|terminal| {
        play(
            terminal,
            &[
                ("al\t", "alphabet", "\r", "Line(\"alpha\")"),
                ("wo\t", ">WORLD", "\n", "Line(\"wor\")"),
                ("wo\t", ">WORLD", "\x03", "Interrupt"),
                ("wo\t", ">WORLD", "\x07", "Cancel"),
                ("\x12al", "i-search)`al'", "\r", "Line(\"alpha\")"),
            ],
        );
        terminal.wait_for("p> ");
        terminal.press("\t");
        terminal.wait_for("alphabet");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    run(reader(|builder| completing(builder.mode(ReadLineMode::Vi)))).await;
}

/// As on a full disk: no file may become longer than that.
fn limit_files(bytes: u64) {
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
    let limit = Rlimit {
        current: Some(bytes),
        maximum: rustix::process::getrlimit(Resource::Fsize).maximum,
    };
    setrlimit(Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn a_history_file_is_as_it_was_if_the_disk_is_full() {
    on_terminal!(|_| {});
    let folder = Folder::new();
    let file = folder.path("history");
    let old: String = (0..1000).map(|i| format!("a precious line {i}\n")).collect();
    std::fs::write(&file, &old).unwrap();
    // One that has a second name is written in place.
    let (linked, second) = (folder.path("linked"), folder.path("second"));
    std::fs::write(&linked, &old).unwrap();
    std::fs::hard_link(&linked, &second).unwrap();
    let missing = folder.path("missing");
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let wheel = ReadLine::builder()
                .input(Event::<ReadLineInput>::new("line"))
                .start(cx)?;
            for i in 0..1000 {
                wheel.add_history(&format!("another line {i}"));
            }
            limit_files(100);
            let refused = |result: Result<(), poe::Error>, file: &Path| {
                let error = result.unwrap_err();
                assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::FileTooLarge);
                let begins = format!("cannot write the history file {}: ", file.display());
                assert!(error.to_string().starts_with(&begins), "{error}");
            };
            for file in [&file, &linked, &missing] {
                refused(wheel.write_history(Some(file)), file);
            }
            for file in [&file, &linked] {
                refused(wheel.history_truncate_file(Some(file), 900), file);
                assert_eq!(std::fs::read_to_string(file)?, old);
            }
            assert!(!missing.exists());
            assert_eq!(
                std::fs::read_dir(file.parent().unwrap())?.count(),
                3,
                "nothing is left beside them"
            );
            // What fits is written.
            wheel.history_truncate_file(Some(&file), 2)?;
            wheel.history_truncate_file(Some(&linked), 1)?;
            assert_eq!(
                std::fs::read_to_string(&file)?,
                "a precious line 998\na precious line 999\n"
            );
            assert_eq!(std::fs::read_to_string(&second)?, "a precious line 999\n");
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
