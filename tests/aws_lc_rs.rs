//! TLS on the crypto provider of the feature `aws-lc-rs`. Where `ring` is compiled in as well, that one is chosen.

use poe::tls::rustls::crypto::CryptoProvider;
use poe::tls::{Acceptor, Connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_hand_shake_uses_the_only_provider_that_is_compiled_in() {
    assert!(CryptoProvider::get_default().is_none());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let acceptor = Acceptor::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let connector = Connector::from_pem(certificate.as_bytes()).unwrap();
    let (client, server) = tokio::io::duplex(4096);
    let (client, server) = tokio::join!(connector.connect("localhost", client), acceptor.accept(server));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(b"in secret").await.unwrap();
    client.flush().await.unwrap();
    let mut bytes = [0; 9];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"in secret");
    assert!(
        CryptoProvider::get_default().is_none(),
        "the crate has installed a provider for the whole process"
    );
}
