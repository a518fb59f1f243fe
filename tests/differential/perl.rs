//! Perl's POE, playing programs in a process of its own.

use crate::program::{Family, Program};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// `tests/perl/differential.pl` or `differential_io.pl`, which play one program after another.
pub(crate) struct Perl {
    child: Child,
    programs: Option<BufWriter<ChildStdin>>,
    transcripts: BufReader<ChildStdout>,
}

impl Perl {
    /// For programs of that family.
    pub(crate) fn start(family: Family) -> Self {
        let script = match family {
            Family::Io => "tests/perl/differential_io.pl",
            _ => "tests/perl/differential.pl",
        };
        let mut child = Command::new("perl")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .env(
                "POE_CATCH_EXCEPTIONS",
                if family == Family::Uncaught { "0" } else { "1" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("perl with POE");
        Perl {
            programs: child.stdin.take().map(BufWriter::new),
            transcripts: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// Sends a program, whose transcript comes after those of the programs that were sent before. Not too many at once:
    /// Perl waits for its transcripts to be read.
    pub(crate) fn send(&mut self, program: &Program) {
        let programs = self.programs.as_mut().expect("it is open");
        programs.write_all(program.text().as_bytes()).expect("Perl reads");
        programs
            .write_all(b"end\n")
            .and_then(|()| programs.flush())
            .expect("Perl reads");
    }

    pub(crate) fn transcript(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.transcripts.read_line(&mut line).expect("a transcript is UTF-8");
            assert_ne!(read, 0, "Perl has ended in the middle of a transcript");
            let line = line.trim_end_matches('\n');
            if line == "." {
                return lines;
            }
            // Perl says `alive ` where nobody is.
            lines.push(line.trim_end().to_owned());
        }
    }

    pub(crate) fn play(&mut self, program: &Program) -> Vec<String> {
        self.send(program);
        self.transcript()
    }
}

impl Drop for Perl {
    fn drop(&mut self) {
        drop(self.programs.take());
        // It ends with its input; what hangs is killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
