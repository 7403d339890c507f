//! Which detections a process takes beside the built-in ones: its own, and those of requests and lakes where that is allowed.

use hindcast_common::{Error, Result};

use super::files::OwnFiles;

/// What a process allows.
#[derive(Debug, Clone)]
pub struct DetectionPolicy {
    /// Detections that it brings itself.
    own: OwnFiles,
    /// Whether requests and the configurations of lakes may bring some.
    allows_others: bool,
}

impl DetectionPolicy {
    /// Of a process that whoever asks has started.
    pub fn of_own_process() -> Self {
        Self { own: OwnFiles::default(), allows_others: true }
    }

    /// Of a process that tries detections and leaves no results: they may take the place of built-in ones.
    pub fn of_trial() -> Self {
        Self { own: OwnFiles::default().replacing(), allows_others: true }
    }

    /// Of a coordinator that brings `own`.
    pub fn of_coordinator(own: OwnFiles, allows_others: bool) -> Self {
        Self { own, allows_others }
    }

    /// Whether a lake or a request may bring detections that are not known here.
    pub fn allows_others(&self) -> bool {
        self.allows_others
    }

    /// The files of a run: this process's, and those that `whose` brings.
    ///
    /// # Errors
    /// [`Error::Denied`] where that is not allowed; [`Error::Config`] where two differ under one path.
    pub fn with(&self, others: &OwnFiles, whose: &str) -> Result<OwnFiles> {
        if !others.is_empty() {
            self.check(whose)?;
        }
        self.own.clone().joined(others)
    }

    /// Fails where detections of others are not allowed.
    ///
    /// # Errors
    /// [`Error::Denied`] then, which says what to set.
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
