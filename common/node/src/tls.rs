//! Certificates: every process has one, and only those of coordinator and workers contain the name of a node.

use std::path::{Path, PathBuf};

use rustls_pki_types::ServerName;
use tonic::Request;
use tonic::transport::server::TlsConnectInfo;
use tonic::transport::{Certificate, CertificateDer, ClientTlsConfig, Identity, ServerTlsConfig};
use webpki::EndEntityCert;

use hindcast_base::{Error, Result};
use hindcast_observability::ConnectionSlot;

/// The DNS name in the certificates of coordinator and workers. Only processes with it may use Ballista's protocol, which
/// has no users, or fetch a worker's results.
pub const NODE_NAME: &str = "node.hindcast.internal";

/// A process's certificate and key, and the certificate authority that it trusts.
#[derive(Clone)]
pub struct Tls {
    authority: Certificate,
    identity: Identity,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

impl Tls {
    /// Reads the PEM files `ca.crt`, `tls.crt` and `tls.key` of a folder: the layout of a Kubernetes TLS secret.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file that can't be read.
    pub fn load(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path: PathBuf = folder.join(name);
            std::fs::read(&path)
                .map_err(|error| Error::Invalid(format!("reading {}: {error}", path.display())))
        };
        Ok(Self {
            authority: Certificate::from_pem(read("ca.crt")?),
            identity: Identity::from_pem(read("tls.crt")?, read("tls.key")?),
        })
    }

    /// The configuration of a server: it accepts only clients with a certificate of the authority.
    pub fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(self.identity.clone()).client_ca_root(self.authority.clone())
    }

    /// The configuration of a client. The server's certificate must have `name`, or without one the host of the address.
    pub fn client(&self, name: Option<&str>) -> ClientTlsConfig {
        let config =
            ClientTlsConfig::new().identity(self.identity.clone()).ca_certificate(self.authority.clone());
        match name {
            Some(name) => config.domain_name(name),
            None => config,
        }
    }
}

/// Whether a request over a connection with a [`ConnectionSlot`] comes from a coordinator or worker, by its certificate.
pub fn comes_from_node<T>(request: &Request<T>) -> bool {
    let info = request.extensions().get::<TlsConnectInfo<ConnectionSlot>>();
    info.and_then(TlsConnectInfo::peer_certs).is_some_and(|certificates| is_node(&certificates))
}

/// The slot of the connection that a request came over.
pub fn connection_slot_of<T>(request: &Request<T>) -> Option<&ConnectionSlot> {
    let extensions = request.extensions();
    extensions
        .get::<ConnectionSlot>()
        .or_else(|| extensions.get::<TlsConnectInfo<ConnectionSlot>>().map(TlsConnectInfo::get_ref))
}

/// Whether the first of a peer's certificates belongs to a coordinator or worker.
fn is_node(certificates: &[CertificateDer<'static>]) -> bool {
    let (Some(first), Ok(name)) = (certificates.first(), ServerName::try_from(NODE_NAME)) else {
        return false;
    };
    EndEntityCert::try_from(first)
        .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}
