//! Perl's Storable and ours: what one freezes the other thaws; and a Perl POE program that exchanges frames with a filter
//! of ours, by TCP. Needs Perl's POE.

use crate::filter_reference::{Record, record};
use poe::Kernel;
use poe::component::{TcpClient, TcpServer};
use poe::filter::{Reference, Storable};
use poe::storable::{self, Blessed, Kind, Settings, Value};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::cell::RefCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

fn script(name: &str) -> Command {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/perl").join(name);
    let mut command = Command::new("perl");
    command.arg(path);
    command
}

fn printed(output: std::io::Result<Output>) -> String {
    let output = output.expect("perl runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && errors.is_empty(),
        "{:?}: {errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

fn random(mode: &str, folder: &Path) -> String {
    let ended = crate::in_child::output(script("storable_random.pl").arg(mode).arg(folder), "storable_random.pl");
    let (status, errors) = (ended.status, ended.stderr);
    assert!(status.success() && errors.is_empty(), "{status:?}: {errors}");
    ended.stdout
}

/// A folder of this test's own, gone when it is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("poe-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The text that the script makes of a value: an element, or what the top is wrapped in.
fn text(value: &Value, seen: &mut Vec<Value>, out: &mut String) {
    match value.referent() {
        Some(thing) => referent(&thing, seen, out),
        None => string(
            value.is_undef().then_some(()).map_or(value.as_bytes(), |()| None),
            value.as_i64(),
            out,
        ),
    }
}

/// Bytes, or an integer; or else undef.
fn string(bytes: Option<Vec<u8>>, integer: Option<i64>, out: &mut String) {
    let Some(bytes) = bytes.or_else(|| integer.map(|integer| integer.to_string().into_bytes())) else {
        return out.push_str("undef");
    };
    out.push('\'');
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'+' | b'-' => out.push(byte.into()),
            _ => write!(out, "%{byte:02x}").unwrap(),
        }
    }
    out.push('\'');
}

fn referent(thing: &Value, seen: &mut Vec<Value>, out: &mut String) {
    if let Some(number) = seen.iter().position(|other| other.ptr_eq(thing)) {
        return write!(out, "={number}").unwrap();
    }
    seen.push(thing.clone());
    if let Some(class) = thing.own_class() {
        write!(out, "<{class}>").unwrap();
    }
    match thing.kind() {
        Kind::Array => {
            out.push('[');
            for (at, item) in thing.items().iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                text(item, seen, out);
            }
            out.push(']');
        }
        Kind::Hash => {
            out.push('{');
            for (at, (key, value)) in thing.entries().iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                let bytes = if key.is_text() {
                    key.text().as_bytes().to_vec()
                } else {
                    key.bytes().to_vec()
                };
                string(Some(bytes), None, out);
                out.push(':');
                text(value, seen, out);
            }
            out.push('}');
        }
        _ => {
            out.push('\\');
            text(thing, seen, out);
        }
    }
}

/// A thousand random values of Perl's: they read as what they are, and what we write of them Perl reads as the same.
#[test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
fn perl_freezes_and_thaws() {
    let folder = Folder::new("storable-perl");
    assert_eq!(random("make", &folder.0), "1000 made\n");
    for number in 1..=1000 {
        let path = folder.0.join(number.to_string());
        let image = std::fs::read(&path).unwrap();
        let value = Settings::new().strict(true).thaw(&image).unwrap();
        let mut ours = String::new();
        referent(&value, &mut Vec::new(), &mut ours);
        let theirs = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        assert_eq!(ours, theirs, "value {number}");
        std::fs::write(path.with_extension("back"), storable::freeze(&value).unwrap()).unwrap();
    }
    assert_eq!(random("check", &folder.0), "1000 check\n");
}

/// A thousand random values of ours: Perl reads them, writes them, and we read the same.
#[test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
fn perl_gives_back_what_serde_wrote() {
    let folder = Folder::new("storable-ours");
    let mut runner = TestRunner::deterministic();
    let records: Vec<Record> = (0..1000)
        .map(|_| record().new_tree(&mut runner).unwrap().current())
        .collect();
    for (number, record) in (1..).zip(&records) {
        let image = storable::to_vec(record).unwrap();
        std::fs::write(folder.0.join(format!("{number}.ours")), image).unwrap();
    }
    assert_eq!(random("again", &folder.0), "1000 again\n");
    for (number, record) in (1..).zip(&records) {
        let image = std::fs::read(folder.0.join(format!("{number}.again"))).unwrap();
        assert_eq!(
            &storable::from_slice::<Record>(&image).unwrap(),
            record,
            "value {number}"
        );
    }
}

/// A Perl POE client asks a server of ours: each hash comes back in an array, with a count.
async fn perl_client(compression: bool) {
    let kernel = Kernel::new();
    let filter = Reference::new(Storable::<Value>::new()).compression(compression);
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(move || poe::filter::Filter::fresh(&filter))
        .client_input(|cx, value| {
            cx.client().put(Value::array(["echo".into(), value]).bless("Answer"));
        })
        .start(&kernel)
        .await
        .unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let asked = async {
        let flag = if compression { "1" } else { "0" };
        let arguments = ["client", &port, flag];
        let child = tokio::process::Command::from(script("reference_peer.pl"));
        let output = { child }.args(arguments).kill_on_drop(true).output().await;
        server.shutdown();
        printed(output)
    };
    let (run, printed) = tokio::join!(within(kernel.run()), within(asked));
    run.unwrap();
    assert_eq!(
        printed,
        "Answer: echo number 1, text caf%e9 %263a, list 1 2 3, shared\n\
         Answer: echo number 2, text caf%e9 %263a, list 1 2 3, shared\n\
         Answer: echo number 3, text caf%e9 %263a, list 1 2 3, shared\n\
         disconnected\n"
    );
}

#[tokio::test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
async fn a_perl_client_talks_to_our_server() {
    perl_client(false).await;
    perl_client(true).await;
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Question {
    number: u32,
    text: String,
    list: Vec<i64>,
}

/// A client of ours asks a Perl POE server: it doubles the numbers of the list and blesses the answer.
async fn perl_server(compression: bool) {
    let flag = if compression { "1" } else { "0" };
    let child = tokio::process::Command::from(script("reference_peer.pl"));
    let mut child = { child }
        .args(["server", "0", flag])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = {
        use tokio::io::AsyncBufReadExt;
        tokio::io::BufReader::new(child.stdout.take().unwrap()).lines()
    };
    let port: u16 = within(lines.next_line()).await.unwrap().unwrap().parse().unwrap();

    let kernel = Kernel::new();
    let answers = Rc::new(RefCell::new(Vec::new()));
    let got = answers.clone();
    let question = |number| Blessed {
        class: "Question".to_owned(),
        value: Question {
            number,
            text: "caf\u{e9} \u{263a}".to_owned(),
            list: vec![1, -70_000, 3_000_000_000],
        },
    };
    let filter = Reference::new(Storable::<Blessed<Question>>::new()).compression(compression);
    TcpClient::builder(("127.0.0.1", port))
        .filter(move || poe::filter::Filter::fresh(&filter))
        .connected(move |cx| {
            for number in 1..=3 {
                cx.server().put(question(number));
            }
        })
        .server_input(move |cx, answer| {
            got.borrow_mut().push(answer);
            if got.borrow().len() == 3 {
                cx.server().shutdown();
            }
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    let expected: Vec<Blessed<Question>> = (1..=3)
        .map(|number| {
            let mut answer = question(number);
            answer.class = "Answer".to_owned();
            answer.value.list.iter_mut().for_each(|number| *number *= 2);
            answer
        })
        .collect();
    assert_eq!(*answers.borrow(), expected);
    assert!(within(child.wait()).await.unwrap().success());
}

#[tokio::test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
async fn our_client_talks_to_a_perl_server() {
    perl_server(false).await;
    perl_server(true).await;
}

/// Whatever hangs fails instead.
async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("it should have ended by now")
}
