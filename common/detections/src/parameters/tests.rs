//! The parameter definitions that a `detection.toml` may have, and that the built-in ones are complete.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ParameterDefinition, ParameterType, read_values};
use crate::Detections;
use crate::config::Layer;
use hindcast_base::Result;

#[derive(Debug, serde::Deserialize)]
struct Written {
    parameters: BTreeMap<String, ParameterDefinition>,
}

/// The one parameter `a` of a file.
fn read(text: &str) -> Result<ParameterDefinition> {
    let text = format!("[parameters.a]\ndoc = 'what it is'\n{text}");
    let layer = Layer { name: "mine/detection.toml", text: &text };
    let written: Written = toml::from_str(&text).map_err(|error| layer.error(&error))?;
    let mut parameters = written.parameters;
    read_values(&layer, &mut parameters)?;
    Ok(parameters.remove("a").unwrap())
}

#[test]
fn values_have_one_form() {
    for (text, value) in [
        ("type = 'integer'\ndefault = 0x10\nrange = [1, 100]", Value::from(16)),
        ("type = 'float'\ndefault = 2", Value::from(2.0)),
        ("type = 'boolean'\ndefault = true", Value::from(true)),
        ("type = 'span'\ndefault = '60m'\nrange = [0, 3_153_600_000]", Value::from("3600s")),
        ("type = 'choice'\nchoices = ['x', 'y']\ndefault = 'y'", Value::from("y")),
        ("type = 'texts'\ndefault = ['b', 'a']", Value::from(vec!["b", "a"])),
        (
            "type = 'patterns'\ndefault = ['a', { pattern = 'b', hits = ['B'], misses = ['c'] }]",
            Value::from(vec!["a", "b"]),
        ),
    ] {
        assert_eq!(read(text).unwrap().value("default"), value, "{text}");
    }
    let patterns = "type = 'patterns'\n[[parameters.a.default]]\n# Why.\npattern = 'b'\nhits = ['b']";
    assert_eq!(read(patterns).unwrap().value("default"), Value::from(vec!["b"]));
}

#[test]
fn presets_win_over_the_default() {
    let parameter =
        read("type = 'integer'\ndefault = 3\npresets = { notebook = 20 }\nrange = [0, 20]").unwrap();
    assert_eq!((parameter.value("default"), parameter.value("notebook")), (3.into(), 20.into()));
    assert_eq!(parameter.range_text().as_deref(), Some("from 0 to 20"));
}

#[test]
fn bounds_may_be_excluded() {
    for (bounds, expected) in [
        ("range = [0, 100]\nabove = 0", "above 0 and at most 100 times"),
        ("range = [0, 1]\nbelow = 1", "at least 0 and below 1 times"),
        ("above = 0\nbelow = 1", "above 0 and below 1 times"),
    ] {
        let parameter = read(&format!("type = 'float'\ndefault = 0.5\nunit = 'times'\n{bounds}")).unwrap();
        assert_eq!(parameter.range_text().as_deref(), Some(expected));
    }
}

#[test]
fn a_definition_that_contradicts_itself_is_refused_where_it_stands() {
    for (text, expected) in [
        ("type = 'integer'", "line 1: parameters.a has no default"),
        ("type = 'number'\ndefault = 1", "number"),
        ("type = 'integer'\ndefault = 'x'", "line 4: parameters.a.default is 'x': it must be a whole number"),
        (
            "type = 'integer'\ndefault = 0\nrange = [1, 9]",
            "line 4: parameters.a.default is 0: it must be from 1 to 9",
        ),
        (
            "type = 'integer'\nrange = [1, 9]\ndefault = 1\npresets = { notebook = 10 }",
            "line 6: parameters.a.presets.notebook is 10: it must be from 1 to 9",
        ),
        (
            "type = 'integer'\ndefault = 1\npresets = { notebok = 1 }",
            "there is no preset notebok; did you mean notebook?",
        ),
        ("type = 'integer'\ndefault = 1\nrange = [9, 1]", "parameters.a has no value between its bounds"),
        ("type = 'float'\ndefault = 1\nabove = 0", "parameters.a has no value between its bounds"),
        ("type = 'span'\ndefault = '1h'\nabove = 0", "parameters.a is a span"),
        ("type = 'text'\ndefault = 'x'\nrange = [1, 9]", "has a range, although it is of type text"),
        ("type = 'choice'\ndefault = 'x'", "only a choice has choices"),
        ("type = 'text'\ndefault = 'x'\nchoices = ['x']", "only a choice has choices"),
        ("type = 'choice'\nchoices = ['x']\ndefault = 'y'", "it must be one of x"),
        ("type = 'records'\ndefault = []", "only records have fields"),
        (
            "type = 'records'\ndefault = []\n[parameters.a.fields.b]\ntype = 'integer'\ndefault = 1\ndoc = 'b'",
            "has a field b with values or fields of its own",
        ),
        ("type = 'patterns'\ndefault = ['fine', 'broken(']", "line 4: pattern `broken(`: "),
        (
            "type = 'patterns'\n[[parameters.a.default]]\n# Why.\npattern = 'robocopy'\nhits = ['copy']",
            "line 6: parameters.a.default: pattern \"robocopy\" does not match \"copy\", which its hits name",
        ),
        ("type = 'text'\ndefault = 'x'\ndefalt = 'y'", "defalt"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("mine/detection.toml") && error.contains(expected), "{error}");
    }
}

#[test]
fn every_number_of_the_built_in_detections_has_a_range() {
    let has_none = |definition: &ParameterDefinition| {
        let kinds = [ParameterType::Integer, ParameterType::Float, ParameterType::Span];
        kinds.contains(&definition.kind) && definition.range_text().is_none()
    };
    for analysis in Detections::built_in().all() {
        for (name, parameter) in &analysis.about.parameters {
            assert!(!has_none(parameter), "{}.{name} has no range", analysis.id);
            for (field, definition) in &parameter.fields {
                assert!(!has_none(definition), "{}.{name}.*.{field} has no range", analysis.id);
            }
        }
    }
}

#[test]
fn every_pattern_of_the_built_in_detections_carries_cases() {
    for analysis in Detections::built_in().all() {
        let parameters = analysis.about.parameters.iter();
        for (name, parameter) in parameters.filter(|(_, known)| known.kind == ParameterType::Patterns) {
            for rule in parameter.default.iter().filter_map(Value::as_array).flatten() {
                let has = |key: &str| rule[key].as_array().is_some_and(|texts| !texts.is_empty());
                assert!(has("hits") && has("misses"), "{}.{name}: {rule}", analysis.id);
            }
        }
    }
}
