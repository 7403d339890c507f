//! Which detections a process accepts in addition to the built-in ones: its own, and those of requests and lakes if allowed.

use hindcast_base::{Error, Result};

use super::files::OwnFiles;

/// What a process allows.
#[derive(Debug, Clone)]
pub struct DetectionPolicy {
    /// The process's own detections.
    own: OwnFiles,
    /// Whether requests and lake configurations may bring detections.
    allows_others: bool,
}

impl DetectionPolicy {
    /// The policy of a process that its user starts.
    pub fn of_own_process() -> Self {
        Self { own: OwnFiles::default(), allows_others: true }
    }

    /// The policy of a process that tests detections and writes no results: they may replace built-in ones.
    pub fn of_trial() -> Self {
        Self { own: OwnFiles::default().replacing(), allows_others: true }
    }

    /// The policy of a coordinator with the detections `own`.
    pub fn of_coordinator(own: OwnFiles, allows_others: bool) -> Self {
        Self { own, allows_others }
    }

    /// Whether a lake or a request may bring detections that are not known here.
    pub(crate) fn allows_others(&self) -> bool {
        self.allows_others
    }

    /// The files of a run: those of this process and those of `whose`.
    ///
    /// # Errors
    /// [`Error::Denied`] if that is not allowed; [`Error::Invalid`] if two files differ under one path.
    pub fn with(&self, others: &OwnFiles, whose: &str) -> Result<OwnFiles> {
        if !others.is_empty() {
            self.check(whose)?;
        }
        self.own.clone().joined(others)
    }

    /// Checks that detections of `whose` are allowed.
    ///
    /// # Errors
    /// [`Error::Denied`] if not, with the setting that would allow them.
    pub fn check(&self, whose: &str) -> Result<()> {
        if self.allows_others {
            return Ok(());
        }
        Err(Error::Denied(format!(
            "{whose} brings detections of its own, which this coordinator does not allow: set allow_detections = true in its \
             configuration, or start it with --allow-detections"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_takes_what_it_brings_and_others_only_where_it_says_so() {
        let mut files = OwnFiles::default();
        files.add("a/detection.toml", "x".into(), "a").unwrap();
        let none = OwnFiles::default();
        let strict = DetectionPolicy::of_coordinator(files.clone(), false);
        assert_eq!(strict.with(&none, "the request").unwrap(), files);
        let error = strict.with(&files, "the request").unwrap_err();
        assert!(matches!(&error, Error::Denied(text) if text.contains("allow_detections = true")), "{error}");
        let open = DetectionPolicy::of_coordinator(none, true);
        assert_eq!(open.with(&files, "the request").unwrap(), files);
    }
}
