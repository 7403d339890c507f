//! `hindcast certificates`: a certificate authority for tests.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use hindcast_base::{Error, Result};
use hindcast_node::NODE_NAME;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::Outcome;

/// Arguments of `hindcast certificates`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hindcast certificates certificates --host coordinator.example \\
      --host 10.0.0.5

The command writes certificates/{coordinator,worker,client}/{ca.crt,tls.crt,tls.key}. It does not store the key of the \
authority: for a further certificate, create a new set. In production, use your own authority; docs/operations.md \
describes the certificates it must issue.")]
pub struct CertificatesArguments {
    /// Folder to write to, which must not exist
    out: PathBuf,
    /// A name or an address of the coordinator, in addition to localhost and 127.0.0.1; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

/// Runs the command.
pub(super) fn run(arguments: &CertificatesArguments) -> Result<Outcome> {
    if arguments.out.exists() {
        return Err(Error::Invalid(format!(
            "{} exists already: choose another folder",
            arguments.out.display()
        )));
    }
    let failed = |error: rcgen::Error| Error::Invalid(format!("creating a certificate: {error}"));
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "Hindcast test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().map_err(failed)?).map_err(failed)?;

    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    hosts.extend(arguments.host.iter().cloned());
    let node = vec![NODE_NAME.to_owned()];
    let sets = [
        ("coordinator", [hosts.clone(), node.clone()].concat()),
        ("worker", [node, hosts[..2].to_vec()].concat()),
        ("client", vec!["client".to_owned()]),
    ];
    for (name, names) in sets {
        let mut leaf = CertificateParams::new(names).map_err(failed)?;
        leaf.distinguished_name.push(DnType::CommonName, format!("hindcast {name}"));
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = leaf.signed_by(&key, &authority).map_err(failed)?;
        let folder = arguments.out.join(name);
        write(&folder, "ca.crt", &authority.pem(), 0o644)?;
        write(&folder, "tls.crt", &certificate.pem(), 0o644)?;
        write(&folder, "tls.key", &key.serialize_pem(), 0o600)?;
    }
    println!("wrote certificates for coordinator, worker and client to {}", arguments.out.display());
    Ok(Outcome::Done)
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join(name);
    fs::create_dir_all(folder).map_err(Error::io(format!("creating {}", folder.display())))?;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::io(format!("writing {}", path.display())))
}
