//! Faults of TLS, found among the causes of a failed call. A retry meets them again.

use std::error::Error;
use std::fmt;
use std::io;

use hindcast_base::error::causes;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as RustlsError};

/// Why two processes can't agree on TLS.
#[derive(Debug, Clone, PartialEq)]
pub enum TlsFault {
    /// This process does not accept the certificate of the other one.
    Untrusted(CertificateError),
    /// The other process refuses the connection, with this alert: mostly because of the certificate of this one.
    Refused(AlertDescription),
    /// The other process does not use TLS.
    NotTls,
    /// Another fault, as the connection reports it.
    Other(String),
}

impl TlsFault {
    /// The fault that caused `error`, if it is one of TLS.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        causes(error).find_map(|cause| match (cause.downcast_ref::<RustlsError>(), io_error(cause)) {
            (Some(fault), _) => Self::of_rustls(fault),
            (None, Some(error)) => Self::of_io(error),
            (None, None) => None,
        })
    }

    fn of_rustls(error: &RustlsError) -> Option<Self> {
        match error {
            RustlsError::InvalidCertificate(reason) => Some(Self::Untrusted(reason.clone())),
            RustlsError::AlertReceived(alert) => is_refusal(*alert).then_some(Self::Refused(*alert)),
            RustlsError::InvalidMessage(_) => Some(Self::NotTls),
            RustlsError::PeerIncompatible(_) | RustlsError::NoCertificatesPresented => {
                Some(Self::Other(error.to_string()))
            }
            _ => None,
        }
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) {
            Some(fault) => Self::of_rustls(fault),
            // HTTP/2 keeps the kind and the text of an error of its connection. Below it only TLS calls data invalid.
            None if error.kind() == io::ErrorKind::InvalidData => Some(Self::Other(error.to_string())),
            None => None,
        }
    }
}

/// Whether the other side refuses the connection for what it is. Other alerts, such as those of a process that ends, say nothing
/// about the next attempt.
fn is_refusal(alert: AlertDescription) -> bool {
    !matches!(
        alert,
        AlertDescription::CloseNotify | AlertDescription::InternalError | AlertDescription::UserCanceled
    )
}

/// The error of a connection: as it is, or as HTTP/2 reports it.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    error.downcast_ref::<io::Error>().or_else(|| error.downcast_ref::<h2::Error>()?.get_io())
}

impl fmt::Display for TlsFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted(reason) => {
                write!(formatter, "the certificate of the other side is not accepted: {reason}")
            }
            Self::Refused(alert) => write!(formatter, "the other side refuses the certificate: {alert:?}"),
            Self::NotTls => formatter.write_str("the other side does not use TLS"),
            Self::Other(reason) => write!(formatter, "no agreement on certificates: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::{InvalidMessage, PeerMisbehaved};
    use tonic::Status;

    use super::*;

    fn failed_call(fault: RustlsError) -> Status {
        Status::from_error(Box::new(io::Error::new(io::ErrorKind::InvalidData, fault)))
    }

    #[test]
    fn faults_are_found_among_the_causes_of_a_status() {
        for (error, fault) in [
            (
                RustlsError::InvalidCertificate(CertificateError::UnknownIssuer),
                TlsFault::Untrusted(CertificateError::UnknownIssuer),
            ),
            (
                RustlsError::AlertReceived(AlertDescription::CertificateRequired),
                TlsFault::Refused(AlertDescription::CertificateRequired),
            ),
            (RustlsError::InvalidMessage(InvalidMessage::InvalidContentType), TlsFault::NotTls),
        ] {
            assert_eq!(TlsFault::of(&error), Some(fault.clone()));
            assert_eq!(TlsFault::of(&failed_call(error)), Some(fault.clone()));
            assert!(fault == TlsFault::NotTls || fault.to_string().contains("certificate"), "{fault}");
        }
    }

    #[test]
    fn a_fault_without_its_type_is_known_by_its_kind() {
        let flattened = io::Error::new(io::ErrorKind::InvalidData, "received fatal alert: UnknownCA");
        assert!(
            matches!(TlsFault::of(&flattened), Some(TlsFault::Other(text)) if text.contains("UnknownCA"))
        );
    }

    #[test]
    fn other_failures_are_no_faults_of_tls() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        assert_eq!(TlsFault::of(&Status::from_error(Box::new(refused))), None);
        assert_eq!(TlsFault::of(&Status::unavailable("the certificate store is full")), None);
        let misbehaved = RustlsError::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests);
        assert_eq!(TlsFault::of(&failed_call(misbehaved)), None);
    }
}
