//! Certificates: every process shows one, and those of coordinator and workers carry a name that people's lack.

use std::path::{Path, PathBuf};

use rustls_pki_types::ServerName;
use tonic::Request;
use tonic::transport::server::TlsConnectInfo;
use tonic::transport::{Certificate, CertificateDer, ClientTlsConfig, Identity, ServerTlsConfig};
use webpki::EndEntityCert;

use crate::observability::ConnectionSlot;
use crate::{Error, Result};

/// The DNS name in the certificates of coordinator and workers. Only who has it may speak Ballista's protocol, which
/// knows no users of its own, or fetch what a worker holds.
pub const NODE_NAME: &str = "node.hindcast.internal";

/// A process's certificate and key, and the authority it trusts.
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
    /// Reads `ca.crt`, `tls.crt` and `tls.key` of a folder, PEM: the layout of a Kubernetes TLS secret.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file that can't be read.
    pub fn load(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path: PathBuf = folder.join(name);
            std::fs::read(&path)
                .map_err(|error| Error::Config(format!("reading {}: {error}", path.display())))
        };
        Ok(Self {
            authority: Certificate::from_pem(read("ca.crt")?),
            identity: Identity::from_pem(read("tls.crt")?, read("tls.key")?),
        })
    }

    /// For a server: only clients with a certificate of the authority get through.
    pub fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(self.identity.clone()).client_ca_root(self.authority.clone())
    }

    /// For a client; the server must have `name`, or the host of the address where it is not given.
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

/// Whether the first of a peer's certificates is that of a coordinator or worker.
fn is_node(certificates: &[CertificateDer<'static>]) -> bool {
    let (Some(first), Ok(name)) = (certificates.first(), ServerName::try_from(NODE_NAME)) else {
        return false;
    };
    EndEntityCert::try_from(first)
        .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}
