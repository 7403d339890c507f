//! Formats numbers, times, durations and sizes for people. Nothing else does.

use std::time::Duration;

use crate::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND, format_micros};

/// A number with thousands separators and at most three decimals; a number close to zero in scientific notation.
pub fn decimal(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    if number != 0.0 && number.abs() < 0.001 {
        return format!("{number:.1e}");
    }
    let text = format!("{:.3}", number.abs());
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let decimals = decimals.trim_end_matches('0');
    let point = if decimals.is_empty() { "" } else { "." };
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}{point}{decimals}", grouped(whole))
}

/// Names of the byte units, each 1,024 times the previous one.
const BYTE_UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes in the largest binary unit that does not exceed it: `512 B`, `1.50 KiB`.
///
/// ```
/// use hindcast_base::format::format_bytes;
///
/// assert_eq!(format_bytes(512), "512 B");
/// assert_eq!(format_bytes(1_536), "1.50 KiB");
/// ```
pub fn format_bytes(bytes: u64) -> String {
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 1024.0 {
        number /= 1024.0;
        unit += 1;
    }
    let decimals = if unit == 0 { 0 } else { 2 };
    format!("{number:.decimals$} {}", BYTE_UNITS[unit])
}

/// A whole number with thousands separators: `1,730`.
pub fn format_count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A whole number that may be negative, with thousands separators.
pub fn format_integer(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", format_count(number.unsigned_abs()))
}

/// A count with its noun: `1 row`, `1,730 rows`, `2 entities`.
///
/// ```
/// use hindcast_base::format::counted;
///
/// assert_eq!(counted(1, "entity"), "1 entity");
/// assert_eq!(counted(1_730, "row"), "1,730 rows");
/// ```
pub fn counted(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", format_count(number)),
        (_, None) => format!("{} {noun}s", format_count(number)),
    }
}

/// Digits with thousands separators.
fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in UTC, in microseconds since 1970, to the second: `2026-01-05 06:00:00`.
pub fn instant(micros: i64) -> String {
    format_time(Some(&format_micros(micros.div_euclid(MICROS_PER_SECOND) * MICROS_PER_SECOND)))
}

/// A time in UTC, given in RFC 3339, to the second. Empty without a time.
pub fn format_time(rfc3339: Option<&str>) -> String {
    let text = rfc3339.unwrap_or_default().trim_end_matches('Z');
    text.split('.').next().unwrap_or(text).replacen('T', " ", 1)
}

/// A duration in the largest unit of which it is a multiple: `15 min`, `6 h`, `7 d`.
pub fn format_duration(micros: i64) -> String {
    const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
    match micros {
        _ if micros % MICROS_PER_DAY == 0 => format!("{} d", micros / MICROS_PER_DAY),
        _ if micros % MICROS_PER_HOUR == 0 => format!("{} h", micros / MICROS_PER_HOUR),
        _ if micros % MICROS_PER_MINUTE == 0 => format!("{} min", micros / MICROS_PER_MINUTE),
        _ => format!("{} s", decimal(micros as f64 / MICROS_PER_SECOND as f64)),
    }
}

/// The time that something took, in seconds: `12.3 s`.
pub fn format_elapsed(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0.0, 0.5, -1.25, 12_345.678_9, 3.0].map(decimal).join(" "), "0 0.5 -1.25 12,345.679 3");
        assert_eq!(decimal(0.000_12), "1.2e-4");
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(format_count).join(" "), "0 12 999 1,000 1,234,567");
        assert_eq!([-1_234, -1, 0, 1_000].map(format_integer).join(" "), "-1,234 -1 0 1,000");
        assert_eq!([i64::MIN].map(format_integer), ["-9,223,372,036,854,775,808"]);
    }

    #[test]
    fn counts_have_their_noun() {
        let texts = [0, 1, 1_730].map(|number| counted(number, "row"));
        assert_eq!(texts, ["0 rows", "1 row", "1,730 rows"]);
        assert_eq!([1, 2].map(|number| counted(number, "entity")), ["1 entity", "2 entities"]);
    }

    #[test]
    fn bytes_are_in_the_largest_binary_unit() {
        let texts = [0, 1_023, 1_024, 1_536, 5 << 20, u64::MAX].map(format_bytes);
        assert_eq!(texts.join(", "), "0 B, 1023 B, 1.00 KiB, 1.50 KiB, 5.00 MiB, 16.00 EiB");
    }

    #[test]
    fn times_are_formatted_to_the_second() {
        assert_eq!(instant(1_500_000), "1970-01-01 00:00:01");
        assert_eq!(instant(-1), "1969-12-31 23:59:59");
        assert_eq!(format_time(Some("2026-01-08T07:46:51.018895Z")), "2026-01-08 07:46:51");
        assert_eq!(format_time(None), "");
    }

    #[test]
    fn durations_are_in_the_largest_unit_that_fits() {
        let texts =
            [900, 3_600, 5_400, 86_400, 604_800, 90, 0].map(|seconds| format_duration(seconds * 1_000_000));
        assert_eq!(texts, ["15 min", "1 h", "90 min", "1 d", "7 d", "90 s", "0 d"]);
        assert_eq!(format_duration(1_500_000), "1.5 s");
        assert_eq!(format_elapsed(Duration::from_millis(12_345)), "12.3 s");
    }
}
