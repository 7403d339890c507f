//! The query language of findings, such as `src:10.1.2.3 beacon:>=0.9 -analysis:beaconing sort:-risk`, parsed into clauses.

use std::collections::BTreeSet;

use hindcast_detections::Detections;

use super::fields::{Field, severity_rank};

/// A parsed query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// The clauses, all of which must hold.
    pub(super) clauses: Vec<Clause>,
    /// The sort fields in order, and whether each is descending.
    pub(super) sort: Vec<(Field, bool)>,
}

/// A condition, and whether it must hold or must not hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) is_wanted: bool,
    pub(super) condition: Condition,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// Lower-cased text, anywhere in the finding.
    Word(String),
    Field(Field, Test),
}

/// A test of the value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// Lower-cased text in which `*` stands for any text, and its value if it is a number.
    Is(String, Option<f64>),
    Number(Order, f64),
    /// Lower-cased text, such as the beginning of a time.
    Text(Order, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Order {
    pub(super) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Order::Less => order.is_lt(),
            Order::AtMost => order.is_le(),
            Order::More => order.is_gt(),
            Order::AtLeast => order.is_ge(),
        }
    }
}

impl Query {
    /// Parses `text` for findings of `detections`, whose evidence has `columns`.
    ///
    /// # Errors
    /// A message for people if a field or a value is not known.
    pub fn parse(text: &str, columns: &BTreeSet<String>, detections: Detections) -> Result<Self, String> {
        let mut query = Self::default();
        for token in tokens(text)? {
            let (is_wanted, token) = match token.strip_prefix('-') {
                Some(rest) if !rest.is_empty() => (false, rest),
                _ => (true, token.as_str()),
            };
            let named = if token.starts_with('"') { None } else { token.split_once(':') };
            match named {
                None => {
                    let condition = Condition::Word(unquoted(token).to_lowercase());
                    query.clauses.push(Clause { is_wanted, condition });
                }
                Some(("sort", value)) => {
                    let (name, is_down) = value.strip_prefix('-').map_or((value, false), |name| (name, true));
                    query.sort.push((Field::named(name, columns)?, is_down));
                }
                Some((name, value)) => {
                    let field = Field::named(name, columns)?;
                    let test = test(name, &field, value, detections)?;
                    query.clauses.push(Clause { is_wanted, condition: Condition::Field(field, test) });
                }
            }
        }
        Ok(query)
    }
}

/// The parts between spaces. Text in quotation marks stays together and keeps its marks.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut is_quoted = false;
    for character in text.chars() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                token.push('"');
            }
            c if c.is_whitespace() && !is_quoted => {
                if !token.is_empty() {
                    tokens.push(std::mem::take(&mut token));
                }
            }
            c => token.push(c),
        }
    }
    if is_quoted {
        return Err("a quotation mark is not closed".into());
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    Ok(tokens)
}

fn unquoted(text: &str) -> String {
    text.replace('"', "")
}

fn test(name: &str, field: &Field, value: &str, detections: Detections) -> Result<Test, String> {
    let orders = [(">=", Order::AtLeast), ("<=", Order::AtMost), (">", Order::More), ("<", Order::Less)];
    let ordered = orders.iter().find_map(|(sign, order)| Some((*order, value.strip_prefix(sign)?)));
    let text = unquoted(ordered.map_or(value, |(_, rest)| rest)).to_lowercase();
    if text.is_empty() {
        return Err(format!("{name}: the value is missing, as in {name}:{}", field.example()));
    }
    let number = match field {
        Field::Severity => severity_rank(&text),
        _ => text.parse::<f64>().ok().filter(|number| !number.is_nan()),
    };
    match (ordered, number) {
        (None, _) => {
            field.check(name, &text, detections)?;
            Ok(Test::Is(text, number.filter(|_| *field != Field::Severity)))
        }
        (Some((order, _)), Some(number)) if !field.is_time() => Ok(Test::Number(order, number)),
        (Some((order, _)), _) if field.is_time() => Ok(Test::Text(order, text)),
        (Some(_), _) => Err(format!("{name}: {text:?} can't be compared, as in {name}:{}", field.example())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> BTreeSet<String> {
        ["source_ip", "bytes_sent", "first_event"].map(str::to_owned).into()
    }

    fn read(text: &str) -> Query {
        Query::parse(text, &columns(), Detections::built_in()).unwrap()
    }

    #[test]
    fn a_query_has_fields_numbers_words_and_an_order() {
        let query = read("src:10.1.2.3 beacon:>=0.9 -analysis:beaconing \"C:\\Temp x\" Rclone sort:-risk");
        let is = |text: &str| Test::Is(text.into(), None);
        let wanted = |condition| Clause { is_wanted: true, condition };
        assert_eq!(
            query.clauses,
            [
                wanted(Condition::Field(Field::Source, is("10.1.2.3"))),
                wanted(Condition::Field(Field::Beacon, Test::Number(Order::AtLeast, 0.9))),
                Clause { is_wanted: false, condition: Condition::Field(Field::Analysis, is("beaconing")) },
                wanted(Condition::Word("c:\\temp x".into())),
                wanted(Condition::Word("rclone".into())),
            ]
        );
        assert_eq!(query.sort, [(Field::Risk, true)]);
        assert_eq!(read("  "), Query::default());
    }

    #[test]
    fn severities_compare_by_rank_times_as_text_and_columns_are_fields() {
        let of = |text: &str| match read(text).clauses.remove(0).condition {
            Condition::Field(field, test) => (field, test),
            Condition::Word(word) => panic!("a word: {word}"),
        };
        assert_eq!(of("severity:>=high"), (Field::Severity, Test::Number(Order::AtLeast, 3.0)));
        assert_eq!(of("first:<2026-01-08"), (Field::First, Test::Text(Order::Less, "2026-01-08".into())));
        assert_eq!(
            of("bytes_sent:>5"),
            (Field::Evidence("bytes_sent".into()), Test::Number(Order::More, 5.0))
        );
        assert_eq!(of("device:\"a b\""), of("device:\"A B\""));
    }

    fn only_test(text: &str) -> Test {
        match read(text).clauses.remove(0).condition {
            Condition::Field(_, test) => test,
            Condition::Word(word) => panic!("a word: {word}"),
        }
    }

    #[test]
    fn each_sign_has_its_order() {
        for (sign, order, holds) in [
            (">=", Order::AtLeast, [false, true, true]),
            ("<=", Order::AtMost, [true, true, false]),
            (">", Order::More, [false, false, true]),
            ("<", Order::Less, [true, false, false]),
        ] {
            assert_eq!(only_test(&format!("risk:{sign}70")), Test::Number(order, 70.0));
            assert_eq!([69, 70, 71].map(|value: i32| order.holds(value.cmp(&70))), holds, "{sign}");
        }
        assert_eq!(only_test("rows:5"), Test::Is("5".into(), Some(5.0)));
        assert_eq!(only_test("severity:high"), Test::Is("high".into(), None));
    }

    #[test]
    fn names_of_fields_may_have_capitals_and_values_lose_theirs() {
        assert_eq!(read("Severity:HIGH"), read("severity:high"));
        assert_eq!(read("user:CORP\\Ada"), read("user:corp\\ada"));
    }

    #[test]
    fn several_fields_sort_in_their_order() {
        let query = read("sort:-severity sort:first rclone");
        assert_eq!(query.sort, [(Field::Severity, true), (Field::First, false)]);
        assert_eq!(query.clauses.len(), 1);
    }

    #[test]
    fn quotation_marks_make_a_word_of_what_has_a_colon_or_spaces() {
        let word = |text: &str| Condition::Word(text.into());
        for (text, is_wanted, condition) in [
            ("\"C:\\temp\"", true, word("c:\\temp")),
            ("-\"two words\"", false, word("two words")),
            ("-", true, word("-")),
            ("title:\"A  beacon\"", true, Condition::Field(Field::Title, Test::Is("a  beacon".into(), None))),
        ] {
            assert_eq!(read(text).clauses, [Clause { is_wanted, condition }], "{text}");
        }
    }

    #[test]
    fn a_pattern_needs_no_known_value() {
        assert_eq!(only_test("analysis:beac*"), Test::Is("beac*".into(), None));
        assert!(Query::parse("analysis:beac", &columns(), Detections::built_in()).is_err());
    }

    #[test]
    fn a_wrong_query_has_a_helpful_message() {
        for (text, hint) in [
            ("bytes_snt:5", "did you mean bytes_sent"),
            ("sort:-rsk", "did you mean risk"),
            ("severity:hgh", "did you mean high"),
            ("suite:office", "office365"),
            ("risk:high", "risk:>=70"),
            ("risk:>=high", "can't be compared"),
            ("user:", "the value is missing"),
            ("\"open", "not closed"),
        ] {
            let error = Query::parse(text, &columns(), Detections::built_in()).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
