//! Whether a text is in a list.

use arrow::array::{BooleanArray, StringViewArray};
use datafusion::logical_expr::Expr;

use super::text_test::{TextTest, tested};

/// Whether the text is one of `texts`; null for null. Like `IN`, but it compares each value of a dictionary once.
pub fn is_one_of<T: AsRef<str>>(text: Expr, texts: &[T]) -> Expr {
    tested(text, IsOneOf(texts.iter().map(|text| text.as_ref().to_owned()).collect()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IsOneOf(Vec<String>);

impl TextTest for IsOneOf {
    const NAME: &'static str = "is_one_of";

    fn of(&self, texts: &StringViewArray) -> BooleanArray {
        let is_one = |text: &str| self.0.iter().any(|one| one == text);
        texts.iter().map(|text| text.map(is_one)).collect()
    }
}
