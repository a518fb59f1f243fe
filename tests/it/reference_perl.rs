//! A Perl POE program that exchanges frames of Storable with a filter of ours, by TCP. Needs Perl's POE.

use poe::Kernel;
use poe::component::{TcpClient, TcpServer};
use poe::filter::{Reference, Storable};
use poe::storable::{Blessed, Value};
use std::cell::RefCell;
use std::path::PathBuf;
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

/// Fails instead of hanging.
async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("it should have ended by now")
}
