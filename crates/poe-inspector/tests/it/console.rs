//! The text console.

use crate::kit::{ADD, LIMIT, SUM, Service};
use poe_inspector::Inspector;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, commands: &str) -> String {
    let mut text = String::new();
    let talk = async {
        stream.write_all(commands.as_bytes()).await.unwrap();
        stream.read_to_string(&mut text).await.unwrap();
    };
    tokio::time::timeout(LIMIT, talk).await.expect("the console replies");
    text
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_socket_of_this_user() {
    use std::os::unix::fs::PermissionsExt;
    use tokio::net::UnixStream;
    let folder = std::env::temp_dir().join(format!("poe-console-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let place = format!("unix:{}", path.display());
    // One that a crash has left over is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let service = Service::start(Inspector::builder().console(&*place).allow(ADD).allow_stop(), 30).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    let second = Inspector::builder().console(&*place).open().await.unwrap_err();
    assert!(second.to_string().contains("unix:"), "{second}");

    let connect = || async { UnixStream::connect(&path).await.unwrap() };
    let commands = "help\nkernels\nsessions clo\nwhy clock\nwhy nobody\nqueue\ntimers\nwheels\ntree\nhandlers\nslow\nlog\nbogus\nquit\n";
    let text = say(connect().await, commands).await;
    for wanted in [
        "stream [EVENT]",
        "0  service",
        "1 sessions",
        "session 2 (clock), child of kernel, created at",
        "timer `tick`",
        "no session has the number or alias `nobody`",
        "31 timers",
        "0 wheels, futures and streams",
        "30 sessions",
        "0 failures, 0 dead letters, 0 restarts",
        "there is no command `bogus`",
    ] {
        assert!(text.contains(wanted), "`{wanted}` is missing in {text}");
    }

    let mut stream = connect().await;
    stream.write_all(b"stream tick\n").await.unwrap();
    let mut text = String::new();
    while !text.contains("clock -> clock  tick") {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(LIMIT, stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    // Enter ends the stream, and the console goes on.
    assert!(say(stream, "\nkernels\nquit\n").await.contains("0  service"));

    // Who can open the socket may do what the program allows, and nothing else.
    let text = say(
        connect().await,
        "post counter add 1000000\npost counter break null\npost counter add \"x\"\nsignal counter TERM\nquit\n",
    )
    .await;
    assert!(
        text.contains("done") && text.contains("this event is not allowed"),
        "{text}"
    );
    assert!(
        text.contains("does not fit event `add`") && text.contains("signals are not allowed"),
        "{text}"
    );
    assert!(service.handle.call("counter", SUM, ()).await.unwrap() >= 1_000_000);
    service.end().await;
    let began = std::time::Instant::now();
    while path.exists() {
        assert!(began.elapsed() < LIMIT, "its file is removed at the end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_dir(&folder).unwrap();
}

#[tokio::test]
async fn over_tcp_with_a_token_and_never_with_a_browser() {
    let service = Service::start(Inspector::builder().console("127.0.0.1:0").token("secret"), 0).await;
    let address = service.inspector.console_addr().unwrap();
    let connect = || async { TcpStream::connect(address).await.unwrap() };
    let text = say(connect().await, "auth secret\nkernels\nquit\n").await;
    assert!(text.contains("0  service"), "{text}");
    for wrong in [
        "auth wrong\nkernels\n",
        "kernels\n",
        "auth secretx\n",
        "auth secre\n",
        "\n",
    ] {
        let text = say(connect().await, wrong).await;
        assert_eq!(text, "a token is needed: begin with `auth TOKEN`\n", "{wrong:?}");
    }
    service.end().await;

    let service = Service::start(Inspector::builder().console("127.0.0.1:0").allow(ADD), 0).await;
    let address = service.inspector.console_addr().unwrap();
    let connect = || async { TcpStream::connect(address).await.unwrap() };
    let page = "POST / HTTP/1.1\r\nHost: x\r\n\r\nstop counter\nkernels\n";
    assert!(!say(connect().await, page).await.contains("service"));
    let text = say(connect().await, "post counter add 1\nquit\n").await;
    assert!(text.contains("actions need a token"), "{text}");
    // An endless line ends the console.
    let text = say(connect().await, &"x".repeat(5000)).await;
    assert!(text.ends_with("poe> "), "{text}");
    service.end().await;
}
