//! Splits texts that list names into words: JSON read as text, arrays of addresses, sentences.

use serde_json::Value;

/// Characters between names. A colon, a dot, a dash or a backslash may be part of a name.
const SEPARATORS: &[char] =
    &['"', '\'', '{', '}', '[', ']', '(', ')', '<', '>', ',', ';', '=', '|', '\t', '\n', '\r', ' '];

/// The first result of `test` for a word of `text`; for JSON, for a word of its values.
pub(crate) fn find_word<T>(text: &str, test: &mut dyn FnMut(&str) -> Option<T>) -> Option<T> {
    let is_json = text.starts_with(['{', '[']);
    match is_json.then(|| serde_json::from_str::<Value>(text)) {
        Some(Ok(value)) => in_value(&value, test),
        _ => in_text(text, test),
    }
}

fn in_value<T>(value: &Value, test: &mut dyn FnMut(&str) -> Option<T>) -> Option<T> {
    match value {
        Value::String(text) => find_word(text, test),
        Value::Array(values) => values.iter().find_map(|value| in_value(value, test)),
        Value::Object(entries) => entries.values().find_map(|value| in_value(value, test)),
        _ => None,
    }
}

fn in_text<T>(text: &str, test: &mut dyn FnMut(&str) -> Option<T>) -> Option<T> {
    text.split(SEPARATORS).map(trimmed).filter(|word| !word.is_empty()).find_map(test)
}

fn trimmed(word: &str) -> &str {
    // An IPv6 address may begin or end with two colons.
    let word = if word.starts_with("::") { word } else { word.trim_start_matches(':') };
    if word.ends_with("::") { word } else { word.trim_end_matches(':') }
}

#[cfg(test)]
mod tests {
    use super::find_word;

    fn words(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        find_word::<()>(text, &mut |word| {
            all.push(word.to_owned());
            None
        });
        all
    }

    #[test]
    fn texts_are_split_into_names() {
        assert_eq!(words("['13.71.172.130', '13.71.172.128']"), ["13.71.172.130", "13.71.172.128"]);
        assert_eq!(words("52.1.2.3|1|0"), ["52.1.2.3", "1", "0"]);
        assert_eq!(words("ada (CORP\\ada): 2001:db8::"), ["ada", "CORP\\ada", "2001:db8::"]);
    }

    #[test]
    fn only_values_of_json_are_words_and_their_escapes_are_decoded() {
        assert_eq!(words(r#"{"user":{"id":"CORP\\ada","ip":["::1", 7]}}"#), ["CORP\\ada", "::1"]);
        assert_eq!(words(r#"[{"id":"a b"}]"#), ["a", "b"]);
        assert_eq!(words(r#"{"cut": "sho"#), ["cut", "sho"]);
    }
}
