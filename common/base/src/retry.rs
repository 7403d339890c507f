//! Retries actions when an object store fails. The store's client retries requests, but not responses that break off.

use std::time::Duration;

use object_store::Error as StoreError;

use crate::error::store_failure;
use crate::{Error, Result};

/// Attempts per action.
const ATTEMPTS: u32 = 4;
/// Wait before the second attempt; it doubles with each further one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);

/// The result of `action`, retried with back-off while a store fails with an error that may be temporary.
///
/// # Errors
/// The error of the last attempt.
pub async fn with_retries<T, F: Future<Output = Result<T>>>(mut action: impl FnMut() -> F) -> Result<T> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match action().await {
            Err(error) if attempt < ATTEMPTS && may_pass(&error) => {
                tracing::warn!(%error, attempt, "trying again");
                tokio::time::sleep(FIRST_BACK_OFF * 2u32.pow(attempt - 1)).await;
            }
            ended => return ended,
        }
    }
}

fn may_pass(error: &Error) -> bool {
    match error {
        Error::Storage { source, .. } => matches!(source, StoreError::Generic { .. }),
        Error::Engine(_) => store_failure("", error).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_temporary_failures_are_retried() {
        let failing: [(fn() -> Error, u32); 3] = [
            (
                || Error::storage("listing")(StoreError::Generic { store: "S3", source: "broken".into() }),
                ATTEMPTS,
            ),
            (|| Error::Config("wrong".into()), 1),
            (
                || {
                    Error::storage("reading")(StoreError::NotFound {
                        path: "a".into(),
                        source: "gone".into(),
                    })
                },
                1,
            ),
        ];
        for (error, expected) in failing {
            let mut tries = 0;
            let ended = with_retries(|| {
                tries += 1;
                std::future::ready(Err::<(), Error>(error()))
            });
            assert!(ended.await.is_err());
            assert_eq!(tries, expected);
        }
    }
}
