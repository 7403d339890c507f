//! Errors as gRPC statuses, and statuses as errors: the kind of an error survives the wire.

use std::borrow::Borrow;

use tonic::{Code, Status};

use hindcast_base::error::causes;
use hindcast_base::{Error, ErrorKind};

/// The status of an error. Its code stands for the kind of the error.
pub fn status_of(error: impl Borrow<Error>) -> Status {
    let error: &Error = error.borrow();
    Status::new(code_of(error.kind()), error.to_string())
}

/// The code of a kind. No two kinds have the same.
pub fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::Busy => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Data => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The kind of the error behind a status. A status of a connection that failed has the connection's error as its source.
pub fn kind_of(status: &Status) -> ErrorKind {
    let is_of_connection = std::error::Error::source(status).is_some();
    match status.code() {
        Code::Internal | Code::Cancelled if is_of_connection => ErrorKind::Unavailable,
        Code::Unavailable | Code::Unknown | Code::DeadlineExceeded => ErrorKind::Unavailable,
        // A message that is longer than one side accepts has the code OUT_OF_RANGE.
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidInput,
        Code::NotFound => ErrorKind::NotFound,
        Code::Aborted | Code::AlreadyExists | Code::FailedPrecondition => ErrorKind::Conflict,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Denied,
        Code::ResourceExhausted => ErrorKind::Busy,
        Code::DataLoss => ErrorKind::Data,
        Code::Ok | Code::Internal | Code::Cancelled | Code::Unimplemented => ErrorKind::Internal,
    }
}

/// The error of a status, with the causes that its message does not name.
pub fn error_of(status: &Status) -> Error {
    Error::of_kind(kind_of(status), message_of(status))
}

/// The message of a status, with the causes that it does not name.
pub fn message_of(status: &Status) -> String {
    causes(status).skip(1).fold(status.message().to_owned(), |text, cause| {
        let part = cause.to_string();
        if text.contains(&part) { text } else { format!("{text}: {part}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in ErrorKind::ALL {
            let received = error_of(&status_of(Error::of_kind(kind, "text")));
            assert_eq!((received.kind(), received.to_string().as_str()), (kind, "text"));
        }
        let codes = [
            Code::InvalidArgument,
            Code::NotFound,
            Code::Aborted,
            Code::PermissionDenied,
            Code::ResourceExhausted,
            Code::Unavailable,
            Code::DataLoss,
            Code::Internal,
        ];
        assert_eq!(ErrorKind::ALL.map(code_of), codes);
    }

    #[test]
    fn a_failed_connection_is_unavailable_and_names_its_cause() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let status = Status::from_error(Box::new(refused));
        let error = error_of(&status);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{status:?}");
        assert!(error.to_string().contains("connection refused"), "{error}");
        assert_eq!(kind_of(&Status::internal("the server failed")), ErrorKind::Internal);
        assert_eq!(kind_of(&Status::deadline_exceeded("too slow")), ErrorKind::Unavailable);
    }

    #[test]
    fn a_missing_token_is_denied_and_a_long_message_is_invalid() {
        assert_eq!(kind_of(&Status::unauthenticated("a bearer token is required")), ErrorKind::Denied);
        assert_eq!(kind_of(&Status::out_of_range("too long")), ErrorKind::InvalidInput);
    }
}
