//! TLS with certificates on both sides, which say what names a peer may have.

use crate::kit::{ADD, LONG};
use poe::event::START;
use poe::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use poe::tls::rustls::server::WebPkiClientVerifier;
use poe::tls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use poe::{Event, Kernel, Reply, Session};
use poe_ikc::{Dial, Ikc, IkcTcp, RemoteError};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
const GO: Event<()> = Event::new("go");

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Identity {
        certificate: made.cert.der().clone(),
        key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
    }
}

fn roots(trusted: &[&Identity]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for identity in trusted {
        roots.add(identity.certificate.clone()).unwrap();
    }
    roots
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn acceptor(own: &Identity, clients: &[&Identity]) -> poe::tls::Acceptor {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(clients)), provider());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![own.certificate.clone()], own.key.clone_key())
        .unwrap();
    Arc::new(config).into()
}

fn connector(own: &Identity, server: &Identity) -> poe::tls::Connector {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&[server]))
        .with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key())
        .unwrap();
    Arc::new(config).into()
}

/// A kernel that connects, calls `poe://Pulse/secret` when it is connected, and ends.
async fn ask(name: &str, dial: Dial) -> Option<Result<i64, RemoteError>> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name).start(&kernel).unwrap();
    let sum = Rc::new(RefCell::new(None));
    let told = sum.clone();
    Session::builder(ikc.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, |cx, ()| -> poe::HandlerResult {
            Ok(cx.heap.call(cx, "poe://Pulse/secret", ADD, (20, 22), SUM, LONG)?)
        })
        .on(SUM, move |cx, sum| {
            *told.borrow_mut() = Some(sum);
            cx.heap.shutdown();
        })
        .create(&kernel)
        .unwrap();
    ikc.connect(dial).await.ok()?;
    let go = async {
        if ikc.registered("Pulse").await.is_ok() {
            kernel.post("main", GO, ()).unwrap();
        }
    };
    tokio::select! {
        // Without the call the kernel ends when the connection does.
        ran = async { tokio::join!(kernel.run(), go).0 } => ran.unwrap(),
        () = tokio::time::sleep(LONG) => panic!("it ends"),
    }
    sum.take()
}

#[tokio::test]
async fn certificates_say_who_a_peer_is_and_an_event_is_published_to_one_alone() {
    let [server, asker, known, stranger] = [(); 4].map(|()| identity());
    let kernel = Kernel::new();
    let ikc = Ikc::builder("Pulse")
        .publish_to("Asker", "secret", |p| p.event(ADD))
        .start(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("secret"))
        .on(ADD, |_, (a, b)| Reply(a + b))
        .create(&kernel)
        .unwrap();
    let names = {
        let (asker, known) = (asker.certificate.clone(), known.certificate.clone());
        move |shown: &[CertificateDer<'_>]| {
            let shown = shown.first()?;
            match () {
                () if *shown == asker => Some(vec!["Asker".to_owned()]),
                () if *shown == known => Some(vec!["Known".to_owned()]),
                () => None,
            }
        }
    };
    // Any address: with TLS it need not be said to be insecure.
    let bind = IkcTcp::bind("0.0.0.0:0").tls(acceptor(&server, &[&asker, &known, &stranger]), names);
    let address = ikc.listen(bind).await.unwrap();
    let address = format!("127.0.0.1:{}", address.as_socket_addr().unwrap().port());
    let dial =
        |own: &Identity, allowed: &str| IkcTcp::connect(&*address).tls(connector(own, &server), "localhost", [allowed]);
    let asks = async {
        assert_eq!(ask("Asker", dial(&asker, "Pulse")).await, Some(Ok(42)));
        // The name of another certificate is no use, and neither is a name that this one does not have.
        let refused = ask("Asker", dial(&known, "Pulse")).await.unwrap().unwrap_err();
        assert!(refused.is_refused(), "{refused}");
        let other = ask("Other", dial(&asker, "Pulse")).await.unwrap().unwrap_err();
        assert!(other.is_refused(), "{other}");
        // A certificate that is trusted and has no name here.
        assert_eq!(ask("Asker", dial(&stranger, "Pulse")).await, None);
        // No certificate, and no TLS.
        let plain = IkcTcp::connect(&*address);
        assert_eq!(ask("Asker", plain).await, None);
        assert_eq!(ikc.counters().dropped, 2);
        ikc.shutdown();
    };
    let all = async { tokio::join!(kernel.run(), asks).0 };
    tokio::time::timeout(4 * LONG, all).await.expect("it ends").unwrap();
}
