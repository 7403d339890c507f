//! The kinds of errors in messages: the kind of an error that ended a job survives in the stored job and reaches the client.

use hindcast_base::ErrorKind;
use hindcast_proto::v1;

/// The kind of an error in a message.
pub(crate) fn wire_error_kind(kind: ErrorKind) -> v1::ErrorKind {
    match kind {
        ErrorKind::InvalidInput => v1::ErrorKind::InvalidInput,
        ErrorKind::NotFound => v1::ErrorKind::NotFound,
        ErrorKind::Conflict => v1::ErrorKind::Conflict,
        ErrorKind::Denied => v1::ErrorKind::Denied,
        ErrorKind::Busy => v1::ErrorKind::Busy,
        ErrorKind::Unavailable => v1::ErrorKind::Unavailable,
        ErrorKind::Data => v1::ErrorKind::Data,
        ErrorKind::Internal => v1::ErrorKind::Internal,
    }
}

/// The kind of an error from a message. An unknown kind is internal.
pub fn error_kind_of(kind: v1::ErrorKind) -> ErrorKind {
    match kind {
        v1::ErrorKind::InvalidInput => ErrorKind::InvalidInput,
        v1::ErrorKind::NotFound => ErrorKind::NotFound,
        v1::ErrorKind::Conflict => ErrorKind::Conflict,
        v1::ErrorKind::Denied => ErrorKind::Denied,
        v1::ErrorKind::Busy => ErrorKind::Busy,
        v1::ErrorKind::Unavailable => ErrorKind::Unavailable,
        v1::ErrorKind::Data => ErrorKind::Data,
        v1::ErrorKind::Internal | v1::ErrorKind::Unspecified => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_a_message() {
        for kind in ErrorKind::ALL {
            assert_eq!(error_kind_of(wire_error_kind(kind)), kind);
        }
        // A job that a later version stored.
        assert_eq!(error_kind_of(v1::ErrorKind::Unspecified), ErrorKind::Internal);
    }
}
