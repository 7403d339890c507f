//! Formats numbers and times for people.

use crate::time::{MICROS_PER_SECOND, format_micros};

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

/// Digits with thousands separators.
pub fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in UTC, to the second: `2026-01-05 06:00:00`.
pub fn instant(micros: i64) -> String {
    let text = format_micros(micros.div_euclid(MICROS_PER_SECOND) * MICROS_PER_SECOND);
    let text = text.trim_end_matches('Z');
    text.split('.').next().unwrap_or(text).replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0.0, 0.5, -1.25, 12_345.678_9, 3.0].map(decimal).join(" "), "0 0.5 -1.25 12,345.679 3");
        assert_eq!(decimal(0.000_12), "1.2e-4");
        assert_eq!(["0", "999", "1234567"].map(grouped).join(" "), "0 999 1,234,567");
    }

    #[test]
    fn bytes_are_in_the_largest_binary_unit() {
        let texts = [0, 1_023, 1_024, 1_536, 5 << 20, u64::MAX].map(format_bytes);
        assert_eq!(texts.join(", "), "0 B, 1023 B, 1.00 KiB, 1.50 KiB, 5.00 MiB, 16.00 EiB");
    }

    #[test]
    fn times_are_formatted_to_the_second() {
        assert_eq!(instant(1_500_000), "1970-01-01 00:00:01");
    }
}
