//! Tests of a text against a list that is known before the query runs.

use datafusion::common::{Result, plan_datafusion_err};
use datafusion::logical_expr::{Expr, lit, not};
use ipnet::IpNet;

use super::Documented;
use super::literals::{elements, texts};
use super::short_form::{Expansion, Gives, ShortForm};
use crate::Patterns;
use crate::PrivateSpace;

const TEXT_AND_TEXTS: &[(&str, &str)] = &[("text", "text"), ("texts", "array of texts")];

pub(super) const FORMS: &[ShortForm] = &[
    test(
        "matches",
        &[("text", "text"), ("patterns", "array of texts")],
        "Whether the lower-cased text matches one of the regular expressions, anywhere in it. Null for null.",
        |arguments| {
            with_texts(arguments, |text, patterns| {
                let patterns = Patterns::of(&patterns).map_err(|error| plan_datafusion_err!("{error}"))?;
                Ok(crate::matches(text, &patterns))
            })
        },
    ),
    test(
        "equals_any",
        TEXT_AND_TEXTS,
        "Whether the text is one of the texts, in any case. Null for null.",
        |arguments| {
            with_texts(arguments, |text, texts| Ok(crate::matches(text, &Patterns::equal_to(&texts))))
        },
    ),
    test(
        "starts_with_any",
        TEXT_AND_TEXTS,
        "Whether the text starts with one of the texts, in any case. Null for null.",
        |arguments| {
            with_texts(arguments, |text, texts| Ok(crate::matches(text, &Patterns::starting_with(&texts))))
        },
    ),
    test(
        "contains_any",
        TEXT_AND_TEXTS,
        "Whether the text contains one of the texts, in any case. Null for null.",
        |arguments| {
            with_texts(arguments, |text, texts| Ok(crate::matches(text, &Patterns::containing_any(&texts))))
        },
    ),
    test(
        "is_one_of",
        TEXT_AND_TEXTS,
        "Whether the text is exactly one of the texts. Like `IN`, but it compares each distinct text of a dictionary column once.",
        |arguments| with_texts(arguments, |text, texts| Ok(crate::is_one_of(text, &texts))),
    ),
    test(
        "is_external",
        &[("address", "text"), ("private", "array of texts"), ("declared_external", "array of texts")],
        "Whether the text is an IP address outside the private networks, or inside those declared external. False for null.",
        is_external,
    ),
    test(
        "in_networks",
        &[("address", "text"), ("networks", "array of texts")],
        "Whether the text is an IP address in one of the networks. False for null.",
        in_networks,
    ),
    test(
        "is_empty",
        &[("list", "array")],
        "Whether a list has no element: `is_empty($users) OR is_one_of(user, $users)` filters nothing if no user is given.",
        |arguments| Ok(elements(&arguments[0])?.map(|elements| lit(elements.is_empty()))),
    ),
];

const fn test(
    name: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    doc: &'static str,
    expand: fn(&[Expr]) -> Result<Option<Expr>>,
) -> ShortForm {
    let documented = Documented { name, arguments, result: "boolean", doc };
    ShortForm::new(documented, Expansion::OfLiterals(expand)).giving(Gives::Boolean)
}

/// The test of the first argument against the texts of the second.
fn with_texts(
    arguments: &[Expr],
    test: impl FnOnce(Expr, Vec<String>) -> Result<Expr>,
) -> Result<Option<Expr>> {
    texts(&arguments[1])?.map(|texts| test(arguments[0].clone(), texts)).transpose()
}

fn is_external(arguments: &[Expr]) -> Result<Option<Expr>> {
    let (Some(private), Some(declared_external)) = (texts(&arguments[1])?, texts(&arguments[2])?) else {
        return Ok(None);
    };
    let space =
        PrivateSpace { private: networks(&private)?, declared_external: networks(&declared_external)? };
    Ok(Some(crate::is_external(arguments[0].clone(), &space)))
}

/// An address that is not outside these networks.
fn in_networks(arguments: &[Expr]) -> Result<Option<Expr>> {
    texts(&arguments[1])?.map(|texts| is_in_networks(arguments[0].clone(), &texts)).transpose()
}

/// Whether the text is an address in one of the networks.
pub(super) fn is_in_networks(address: Expr, texts: &[String]) -> Result<Expr> {
    let space = PrivateSpace { private: networks(texts)?, declared_external: Vec::new() };
    let address = crate::canonical_address(address);
    Ok(address.clone().is_not_null().and(not(crate::is_external(address, &space))))
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>> {
    let network =
        |text: &String| text.parse::<IpNet>().map_err(|_| plan_datafusion_err!("{text:?} is not a network"));
    texts.iter().map(network).collect()
}
