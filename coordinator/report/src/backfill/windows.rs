//! The windows of a backfill: of one length, one step apart, completely within a span.

use hindcast_base::time::{MICROS_PER_SECOND, Window, format_micros};
use hindcast_base::{Error, Result};

/// Windows of a backfill at most: a step of one second over a month is a typing error.
const MAX_WINDOWS: i64 = 100_000;

/// A series of windows.
#[derive(Debug, Clone, Copy)]
pub struct WindowSeries {
    /// The span in which they lie.
    pub span: Window,
    /// Length of each, in microseconds.
    pub length_us: i64,
    /// From the start of one window to that of the next, in microseconds.
    pub step_us: i64,
}

impl WindowSeries {
    /// Windows of `length_us` every `step_us`, at least one of which fits into `span`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if none fits or there are too many.
    pub fn new(span: Window, length_us: i64, step_us: i64) -> Result<Self> {
        if length_us <= 0 || step_us <= 0 {
            return Err(Error::Invalid("the lengths of a window and a step must be positive".into()));
        }
        let series = Self { span, length_us, step_us };
        match series.count() {
            count if count <= 0 => Err(Error::Invalid(format!(
                "no window of {} fits between {} and {}",
                format_length(length_us),
                format_micros(span.from_us),
                format_micros(span.to_us)
            ))),
            count if count > MAX_WINDOWS => Err(Error::Invalid(format!(
                "a step of {} makes {count} windows, more than {MAX_WINDOWS}: use a longer step",
                format_length(step_us)
            ))),
            _ => Ok(series),
        }
    }

    fn count(&self) -> i64 {
        let room_us = self.span.to_us.saturating_sub(self.span.from_us).saturating_sub(self.length_us);
        if room_us < 0 { 0 } else { room_us / self.step_us + 1 }
    }

    /// The windows, in order.
    pub fn windows(&self) -> Vec<Window> {
        let window = |index: i64| {
            let from_us = self.span.from_us + index * self.step_us;
            Window { from_us, to_us: from_us + self.length_us }
        };
        (0..self.count()).map(window).collect()
    }

    /// Whether windows share rows. Such windows use each other's state, so they are computed one after another.
    pub fn overlap(&self) -> bool {
        self.step_us < self.length_us
    }

    /// How much at the end of the span no window covers, in microseconds.
    pub(crate) fn left_over_us(&self) -> i64 {
        self.windows().last().map_or(0, |last| self.span.to_us - last.to_us)
    }
}

/// A length of time in the form of arguments, such as `24h`.
pub(crate) fn format_length(micros: i64) -> String {
    let seconds = micros / MICROS_PER_SECOND;
    match seconds {
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600 * MICROS_PER_SECOND;

    fn series(hours: i64, length: i64, step: i64) -> Result<WindowSeries> {
        WindowSeries::new(Window::new(0, hours * HOUR_US).unwrap(), length * HOUR_US, step * HOUR_US)
    }

    fn starts(series: &WindowSeries) -> Vec<i64> {
        series.windows().iter().map(|window| window.from_us / HOUR_US).collect()
    }

    #[test]
    fn windows_lie_wholly_within_the_span() {
        let days = series(50, 24, 24).unwrap();
        assert_eq!((starts(&days), days.left_over_us(), days.overlap()), (vec![0, 24], 2 * HOUR_US, false));
        let sliding = series(30, 24, 3).unwrap();
        assert_eq!((starts(&sliding), sliding.left_over_us()), (vec![0, 3, 6], 0));
        assert!(sliding.overlap());
        let sampled = series(100, 6, 48).unwrap();
        assert_eq!(starts(&sampled), [0, 48]);
        assert!(sampled.windows().iter().all(|window| window.to_us - window.from_us == 6 * HOUR_US));
    }

    #[test]
    fn what_makes_no_or_too_many_windows_is_refused() {
        assert!(series(20, 24, 24).unwrap_err().to_string().contains("no window of 24h fits"));
        assert!(series(20, 0, 24).is_err() && series(20, 2, 0).is_err());
        let span = Window::new(0, 1_000_000 * HOUR_US).unwrap();
        assert!(WindowSeries::new(span, HOUR_US, HOUR_US).is_err());
    }

    #[test]
    fn lengths_are_formatted_in_the_largest_unit_that_fits() {
        for (seconds, text) in [(86_400, "24h"), (5_400, "90m"), (61, "61s")] {
            assert_eq!(format_length(seconds * MICROS_PER_SECOND), text);
        }
    }
}
