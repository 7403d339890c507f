//! Pattern lists over lower-cased text, in time linear in the text (the `regex` crate).

use std::hash::{Hash, Hasher};

use arrow::array::{BooleanArray, StringViewArray};
use datafusion::logical_expr::Expr;

use super::text_test::{TextTest, tested};
use crate::Patterns;

/// Whether the lower-cased text matches any of the patterns; null text is null.
pub fn matches(text: Expr, patterns: &Patterns) -> Expr {
    tested(text, Matches(patterns.clone()))
}

#[derive(Debug)]
struct Matches(Patterns);

impl PartialEq for Matches {
    fn eq(&self, other: &Self) -> bool {
        self.0.source() == other.0.source()
    }
}

impl Eq for Matches {}

impl Hash for Matches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.source().hash(state);
    }
}

impl TextTest for Matches {
    const NAME: &'static str = "matches";

    fn of(&self, texts: &StringViewArray) -> BooleanArray {
        let mut scratch = String::new();
        texts.iter().map(|text| text.map(|text| self.0.is_match(text, &mut scratch))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_anywhere_in_any_case_and_null_is_null() {
        let patterns = Patterns::containing_any(&["rclone", "a.b"]);
        let texts = StringViewArray::from(vec![
            Some("C:\\RClone.exe copy"),
            Some("axb"),
            Some("A.B"),
            Some(""),
            None,
        ]);
        let matched: Vec<Option<bool>> = Matches(patterns).of(&texts).iter().collect();
        assert_eq!(matched, [Some(true), Some(false), Some(true), Some(false), None]);
    }

    #[test]
    fn equal_patterns_are_equal_tests() {
        let test = |texts: &[&str]| Matches(Patterns::containing_any(texts));
        assert_eq!(test(&["a", "b"]), test(&["a", "b"]));
        assert_ne!(test(&["a", "b"]), test(&["b", "a"]));
    }
}
