//! Waits for a coordinator that does not answer, and announces long ones.

use std::time::Duration;

use hindcast_node::message_of;
use tonic::Status;

/// Waits that together are shorter than this are silent: the coordinator may be restarting.
const SILENT_WAIT: Duration = Duration::from_secs(2);

/// The waits between the attempts at one call.
pub(super) struct Waiting<'a> {
    address: &'a str,
    waited: Duration,
    is_announced: bool,
}

impl<'a> Waiting<'a> {
    /// No wait yet for the coordinator at `address`.
    pub(super) fn new(address: &'a str) -> Self {
        Self { address, waited: Duration::ZERO, is_announced: false }
    }

    /// Adds a wait after an attempt that ended with `status`. Prints once if the waits have become long.
    pub(super) fn add(&mut self, status: &Status, wait: Duration) {
        tracing::debug!(%status, ?wait, "the coordinator does not answer");
        if let Some(announcement) = self.announcement(status, wait) {
            eprintln!("{announcement}");
        }
    }

    fn announcement(&mut self, status: &Status, wait: Duration) -> Option<String> {
        self.waited += wait;
        if self.is_announced || self.waited < SILENT_WAIT {
            return None;
        }
        self.is_announced = true;
        let reason = message_of(status);
        Some(format!("waiting for the coordinator at {}, which does not answer: {reason}", self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_announced_once() {
        let (refused, second) = (Status::unavailable("connection refused"), Duration::from_secs(1));
        let mut waiting = Waiting::new("soc.example:7480");
        assert_eq!(waiting.announcement(&refused, second), None);
        let announced = waiting.announcement(&refused, second).unwrap();
        assert!(
            announced.contains("soc.example:7480") && announced.contains("connection refused"),
            "{announced}"
        );
        assert_eq!(waiting.announcement(&refused, 60 * second), None);
    }
}
