//! TCP and UNIX sockets, in real time.

use crate::kit::*;
use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_ikc::wire::Protocol;
use poe_ikc::{Bind, Dial, Ikc, IkcTcp, IkcUnix, RemoteError};
use std::time::Duration;

const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");

/// Serves on a thread of its own until the sender is dropped; returns the address.
fn serve(
    bind: impl FnOnce() -> Bind + Send + 'static,
) -> (String, tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let (address, told) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let kernel = Kernel::new();
            let ikc = Ikc::builder("Pulse")
                .publish("test", |p| p.event(ADD))
                .start(&kernel)
                .unwrap();
            Session::builder(())
                .on(START, |cx, ()| cx.alias_set("test"))
                .on(ADD, |_, (a, b)| poe::Reply(a + b))
                .create(&kernel)
                .unwrap();
            address.send(ikc.listen(bind()).await.unwrap().to_string()).unwrap();
            let end = async {
                let _ = stopped.await;
                ikc.shutdown();
            };
            let (ran, ()) = tokio::join!(kernel.run(), end);
            ran.unwrap();
        });
    });
    (told.recv().unwrap(), stop, thread)
}

/// Connects and adds; returns what came and when.
async fn add(dial: Dial) -> Result<i64, String> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder("Cli").start(&kernel).unwrap();
    ikc.connect(dial).await.map_err(|error| error.to_string())?;
    let log = Log::default();
    Session::builder(ikc.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, |cx, ()| {
            cx.heap.call(cx, "poe://Pulse/test", ADD, (40, 2), SUM, LONG)
        })
        .on(SUM, {
            let log = log.clone();
            move |cx, sum| {
                log.add(sum.unwrap().to_string());
                cx.heap.shutdown();
            }
        })
        .create(&kernel)
        .unwrap();
    let go = async {
        ikc.registered("Pulse").await.unwrap();
        kernel.post("main", GO, ()).unwrap();
    };
    let both = async { tokio::join!(kernel.run(), go).0.unwrap() };
    tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .map_err(|late| late.to_string())?;
    Ok(log.lines()[0].parse().unwrap())
}

#[tokio::test]
async fn tcp_with_both_handshakes_on_both_sides() {
    for (ours, theirs) in [
        (Protocol::Ikc0, Protocol::Ikc0),
        (Protocol::Ikc0, Protocol::Ikc),
        (Protocol::Ikc, Protocol::Ikc0),
        (Protocol::Ikc, Protocol::Ikc),
    ] {
        let (address, stop, thread) = serve(move || IkcTcp::bind("127.0.0.1:0").protocol(theirs));
        assert_eq!(add(IkcTcp::connect(address).protocol(ours)).await, Ok(42));
        drop(stop);
        thread.join().unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_belongs_to_its_user_and_a_dead_one_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("poe-ikc-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "it was left behind");
    let bound = path.clone();
    let (_, stop, thread) = serve(move || IkcUnix::bind(bound));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(add(IkcUnix::connect(&path)).await, Ok(42));
    // A socket that is in use is nobody else's.
    let kernel = Kernel::new();
    let other = Ikc::builder("Other").start(&kernel).unwrap();
    let error = other.listen(IkcUnix::bind(&path)).await.unwrap_err();
    assert_eq!(
        error.as_io().map(std::io::Error::kind),
        Some(std::io::ErrorKind::AddrInUse)
    );
    drop(stop);
    thread.join().unwrap();
    assert!(!path.exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_blocking_client_posts_calls_and_is_told_why_not() {
    use poe_ikc::Lite;
    let (address, stop, thread) = serve(|| IkcTcp::bind("127.0.0.1:0"));
    let mut lite = Lite::connect_tcp(&address, "Script", LONG).unwrap();
    assert_eq!(lite.call("test", ADD, (40, 2)), Ok(42));
    assert!(lite.call::<_, i64>("test", "secret", 1).unwrap_err().is_refused());
    assert!(lite.call::<_, i64>("test", "add", "text").unwrap_err().is_failed());
    assert!(
        lite.call::<_, String>("test", "add", (1, 2))
            .unwrap_err()
            .is_wrong_reply()
    );
    lite.post("test", ADD, (1, 1)).unwrap();
    assert!(lite.ping().unwrap() < LONG && !lite.server().is_empty());
    drop(stop);
    thread.join().unwrap();
    assert!(lite.call("test", ADD, (40, 2)).unwrap_err().is_lost());
    assert!(lite.post("test", ADD, (40, 2)).unwrap_err().is_lost());
    assert!(
        Lite::connect_tcp(&address, "Script", LONG)
            .unwrap_err()
            .as_io()
            .is_some()
    );
}

#[test]
fn a_blocking_client_waits_no_longer_than_its_time() {
    use poe_ikc::Lite;
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"SETUP KERNEL=mute;FREEZER=Storable;PID=1\r\n").unwrap();
        let _ = peer.read_to_end(&mut Vec::new());
    });
    let mut lite = Lite::connect_tcp(&address, "Script", Duration::from_millis(200)).unwrap();
    assert!(lite.call("test", ADD, (40, 2)).unwrap_err().is_timed_out());
    drop(lite);
    thread.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_async_client_calls_from_many_tasks_and_is_told_why_not() {
    use poe_ikc::AsyncLite;
    let (address, stop, thread) = serve(|| IkcTcp::bind("127.0.0.1:0"));
    let lite = AsyncLite::connect_tcp(&address, "Service", LONG).await.unwrap();
    let sums = (0..200_i64).map(|n| {
        let lite = lite.clone();
        tokio::spawn(async move { (n, lite.call("test", ADD, (n, 1)).await) })
    });
    for sum in sums.collect::<Vec<_>>() {
        let (n, sum) = sum.await.unwrap();
        assert_eq!(sum, Ok(n + 1));
    }
    assert!(lite.call::<_, i64>("test", "secret", 1).await.unwrap_err().is_refused());
    assert!(
        lite.call::<_, i64>("test", "add", "text")
            .await
            .unwrap_err()
            .is_failed()
    );
    let wrong = lite.call::<_, String>("test", "add", (1, 2)).await.unwrap_err();
    assert!(wrong.is_wrong_reply());
    lite.post("test", ADD, (1, 1)).await.unwrap();
    assert!(lite.ping().await.unwrap() < LONG && !lite.server().is_empty());
    drop(stop);
    thread.join().unwrap();
    assert!(lite.call("test", ADD, (40, 2)).await.unwrap_err().is_lost());
    let refused = AsyncLite::connect_tcp(&address, "Service", LONG).await.unwrap_err();
    assert!(refused.as_io().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_async_client_forgets_calls_that_are_over_or_given_up_and_ends_with_its_last_clone() {
    use poe_ikc::AsyncLite;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (ours, mut mute) = tokio::io::duplex(64 * 1024);
    let peer = tokio::spawn(async move {
        mute.write_all(b"SETUP KERNEL=mute;FREEZER=Storable;PID=1\r\n")
            .await
            .unwrap();
        let mut sent = Vec::new();
        mute.read_to_end(&mut sent).await.unwrap();
        String::from_utf8_lossy(&sent).into_owned()
    });
    let lite = AsyncLite::attach(ours, "Service", Duration::from_secs(3))
        .await
        .unwrap();
    let call = lite.call("test", ADD, (40, 2));
    assert!(call.await.unwrap_err().is_timed_out());
    let given_up = lite.call("test", ADD, (40, 2));
    assert!(tokio::time::timeout(Duration::from_secs(1), given_up).await.is_err());
    assert!(format!("{lite:?}").contains("pending_calls: 0"), "{lite:?}");
    lite.post("test", NOTE, "the last".to_owned()).await.unwrap();
    lite.flush().await.unwrap();
    drop(lite);
    assert!(peer.await.unwrap().contains("the last"));
}

#[tokio::test]
async fn addresses_of_other_machines_have_to_be_asked_for() {
    let kernel = Kernel::new();
    let ikc = Ikc::builder("Pulse").start(&kernel).unwrap();
    for error in [
        ikc.listen(IkcTcp::bind("0.0.0.0:0")).await.unwrap_err(),
        ikc.listen(IkcTcp::bind("[::]:0")).await.unwrap_err(),
        ikc.connect(IkcTcp::connect("192.0.2.1:603")).await.unwrap_err(),
    ] {
        assert!(
            error.is_insecure() && error.to_string().contains("insecure()"),
            "{error}"
        );
    }
    ikc.listen(IkcTcp::bind("0.0.0.0:0").insecure()).await.unwrap();
    assert!(ikc.listen(IkcTcp::bind("127.0.0.1:0")).await.is_ok());
}

#[tokio::test]
async fn above_the_concurrency_peers_wait_until_one_goes() {
    use std::io::{BufRead, BufReader, Write};
    let (address, stop, thread) = serve(|| IkcTcp::bind("127.0.0.1:0").concurrency(2));
    let connect = |n: u32| {
        let mut peer = std::net::TcpStream::connect(&address).unwrap();
        peer.write_all(format!("SETUP KERNEL=peer{n};FREEZER=Storable;PID=1\r\n").as_bytes())
            .unwrap();
        peer
    };
    let line = |peer: &std::net::TcpStream, wait| {
        peer.set_read_timeout(Some(wait)).unwrap();
        let mut line = String::new();
        BufReader::new(peer).read_line(&mut line).map(|_| line)
    };
    let peers: Vec<_> = (0..3).map(connect).collect();
    for peer in &peers[..2] {
        assert!(line(peer, Duration::from_secs(20)).unwrap().starts_with("SETUP "));
    }
    assert!(
        line(&peers[2], Duration::from_millis(300)).is_err(),
        "it is not replied to yet"
    );
    let mut peers = peers;
    drop(peers.remove(0));
    assert!(line(&peers[1], Duration::from_secs(20)).unwrap().starts_with("SETUP "));
    drop((peers, stop));
    thread.join().unwrap();
}

#[tokio::test]
async fn a_client_connects_again_when_the_server_is_back() {
    use poe::component::Backoff;
    let (address, stop, thread) = serve(|| IkcTcp::bind("127.0.0.1:0"));
    let kernel = Kernel::new();
    let ikc = Ikc::builder("Cli").start(&kernel).unwrap();
    let backoff = Backoff::new()
        .first(Duration::from_millis(20))
        .longest(Duration::from_millis(50));
    ikc.connect(IkcTcp::connect(&address).reconnect(backoff)).await.unwrap();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("main"))
        .create(&kernel)
        .unwrap();
    let acts = async {
        ikc.registered("Pulse").await.unwrap();
        drop(stop);
        thread.join().unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !ikc.kernels().is_empty() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let again = address.clone();
        let (_, stop, thread) = serve(move || IkcTcp::bind(again));
        ikc.registered("Pulse").await.unwrap();
        ikc.shutdown();
        drop(stop);
        thread.join().unwrap();
    };
    let both = async { tokio::join!(kernel.run(), acts).0.unwrap() };
    tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
}
