//! Formats the values of a report: numbers, times, texts of any length, and notes on truncated lists.

use std::collections::BTreeSet;

use hindcast_base::entities::Entity;
pub(super) use hindcast_base::format::{
    counted, decimal, format_count as count, format_integer as integer, format_time as time, instant,
};
use hindcast_detections::findings::Severity;
use hindcast_risk::Level;

/// The longest text on the page, in characters.
pub(super) const LONGEST_TEXT: usize = 400;

/// Text of a log: on one line, at most [`LONGEST_TEXT`] characters, and with escapes for characters that are invisible or
/// change the direction of writing.
pub(super) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST_TEXT));
    for (index, character) in text.chars().enumerate() {
        if index == LONGEST_TEXT {
            shown.push_str(&format!(" ... ({} characters)", count(text.chars().count() as u64)));
            break;
        }
        match character {
            '\n' | '\r' | '\t' => shown.push(' '),
            hidden if is_hidden(hidden) => shown.extend(hidden.escape_unicode()),
            plain => shown.push(plain),
        }
    }
    shown
}

/// Control characters, and the format characters that reorder or hide text.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The note on a truncated list, such as `showing 100 of 140 rows`. Empty if the list is complete.
pub(super) fn shown_of(shown: usize, all: usize, what: &str) -> String {
    match shown < all {
        true => format!("showing {} of {} {what}", count(shown as u64), count(all as u64)),
        false => String::new(),
    }
}

/// An entity with its kind.
pub(super) fn entity(entity: &Entity) -> String {
    let name = entity.full_name.as_ref().unwrap_or(&entity.name);
    format!("{} {}", entity.kind.name().replace('_', " "), text(name))
}

/// The names of roots; empty if there are none.
pub(super) fn roots(roots: &BTreeSet<String>) -> String {
    let names: Vec<String> = roots.iter().map(|root| format!("root {}", text(root))).collect();
    names.join(", ")
}

/// The CSS class of a level.
pub(super) fn level_class(level: Level) -> &'static str {
    match level {
        Level::NotAssessed => "level-unknown",
        Level::None => "level-none",
        Level::Low => "level-low",
        Level::Medium => "level-medium",
        Level::High => "level-high",
    }
}

/// The CSS class of a severity.
pub(super) fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "level-low",
        Severity::Medium => "level-medium",
        Severity::High => "level-high",
        Severity::Critical => "level-critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_truncated_and_invisible_characters_are_escaped() {
        let long = "x".repeat(1_500);
        assert_eq!(text(&long), format!("{} ... (1,500 characters)", &long[..LONGEST_TEXT]));
        assert_eq!(text("a\u{202e}b\nc\0"), "a\\u{202e}b c\\u{0}");
        assert_eq!(text("zażółć 名"), "zażółć 名");
    }

    #[test]
    fn a_truncated_list_has_a_note() {
        assert_eq!(shown_of(500, 12_345, "findings"), "showing 500 of 12,345 findings");
        assert_eq!(shown_of(5, 5, "findings"), "");
    }
}
