//! Faults of TLS as a client meets them: its call names the fault, whichever layer of the connection reports it.
#![allow(clippy::expect_used, reason = "a test that fails stops")]

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hindcast_node::{Tls, TlsFault, connect_endpoint};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{CertificateError, RootCertStore, ServerConfig};
use tonic::codegen::{Service, http};

/// Longest time that a server keeps a connection that it refuses, so that the client reads why.
const LINGER: Duration = Duration::from_secs(5);

/// A new authority named `name`, and the certificate of `localhost` that it issues: `ca.crt`, `tls.crt` and `tls.key` in `folder`.
fn certificates(folder: &Path, name: &str) {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"));
    let authority = authority.expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &authority).expect("a certificate");
    std::fs::create_dir_all(folder).expect("a folder");
    let texts = [("ca.crt", authority.pem()), ("tls.crt", leaf.pem()), ("tls.key", key.serialize_pem())];
    for (name, text) in texts {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

/// A server with the certificate in `own` that accepts clients of the authority in `clients`.
fn acceptor(own: &Path, clients: &Path) -> TlsAcceptor {
    let certificate = |path: &Path| CertificateDer::from_pem_file(path).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&clients.join("ca.crt"))).expect("an authority");
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::from_pem_file(own.join("tls.key")).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![certificate(&own.join("tls.crt"))], key)
        .expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The fault of a call to a server, by a client with the certificates in `client`. Without an acceptor the server uses no TLS.
async fn fault(acceptor: Option<TlsAcceptor>, client: &Path) -> Option<TlsFault> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    Some(acceptor) => {
                        let accepted = acceptor.accept(stream).into_fallible().await;
                        tokio::time::sleep(LINGER).await;
                        drop(accepted);
                    }
                    None => {
                        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                        tokio::time::sleep(LINGER).await;
                    }
                }
            });
        }
    });
    let tls = Tls::load(client).expect("certificates");
    let endpoint = connect_endpoint(&format!("localhost:{port}"), Some(&tls), false).expect("an address");
    let mut channel = endpoint.connect_lazy();
    let called = async {
        poll_fn(|context| channel.poll_ready(context)).await?;
        channel.call(http::Request::new(tonic::body::Body::default())).await
    };
    let answer = tokio::time::timeout(LINGER, called).await.expect("the call ends");
    TlsFault::of(&answer.expect_err("a failed call"))
}

#[tokio::test]
async fn a_call_names_the_fault_of_its_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ours, theirs, renewed] = ["ours", "theirs", "renewed"].map(|name| folder.path().join(name));
    certificates(&ours, "our authority");
    certificates(&theirs, "their authority");
    certificates(&renewed, "our authority");
    assert_eq!(fault(None, &ours).await, Some(TlsFault::NotTls));
    let untrusted = fault(Some(acceptor(&theirs, &ours)), &ours).await;
    assert_eq!(untrusted, Some(TlsFault::Untrusted(CertificateError::UnknownIssuer)));
    // An authority made again keeps its name, but not its key.
    let untrusted = fault(Some(acceptor(&renewed, &ours)), &ours).await;
    assert_eq!(untrusted, Some(TlsFault::Untrusted(CertificateError::BadSignature)));
    // The server refuses the client after the client's handshake, so HTTP/2 reports the alert.
    let refused = fault(Some(acceptor(&ours, &theirs)), &ours).await;
    assert!(matches!(refused, Some(TlsFault::Refused(_) | TlsFault::Other(_))), "{refused:?}");
}
