//! `beacon_score` of `[finding]`: the score by which pages search beacons, as an expression over a finding.

use std::collections::BTreeMap;

use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior};

use super::Finding;
use hindcast_base::{Error, Result};

const TEMPLATE: &str = "beacon_score";
/// The name of the finding's confidence, 0 to 100; all other names are columns of its evidence.
const CONFIDENCE: &str = "confidence";

/// A compiled expression (minijinja) whose value is from 0 to 1.
#[derive(Debug)]
pub struct BeaconScore(Source);

#[derive(Debug)]
enum Source {
    /// A single column, as for most detections: pages read the score of every finding, and a look-up is much cheaper than a template.
    Column(String),
    Expression {
        environment: Box<Environment<'static>>,
        names: Vec<String>,
    },
}

impl BeaconScore {
    /// The expression `text`, which begins on `line` of `file`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line of an invalid expression.
    pub(super) fn load(text: &str, file: &str, line: usize) -> Result<Self> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if text != CONFIDENCE
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(is_name)
        {
            return Ok(Self(Source::Column(text.to_owned())));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let template: &'static str = format!("{{{{ ({text}) }}}}").leak();
        let wrong = |error| Error::in_file(file, line, format!("beacon_score {text:?}: {error}"));
        environment.add_template(TEMPLATE, template).map_err(wrong)?;
        let names = environment.get_template(TEMPLATE).map_err(wrong)?.undeclared_variables(false);
        let names = names.into_iter().collect();
        Ok(Self(Source::Expression { environment: Box::new(environment), names }))
    }

    /// The score of a finding; `None` if a column in the expression is null or absent.
    pub fn of(&self, finding: &Finding) -> Option<f64> {
        let (environment, names) = match &self.0 {
            Source::Column(column) => return finding.evidence.get(column)?.as_f64(),
            Source::Expression { environment, names } => (environment, names),
        };
        let value = |name: &String| match name.as_str() {
            CONFIDENCE => Some(Value::from(finding.confidence)),
            column => finding.evidence.get(column).map(Value::from_serialize),
        };
        let values: Option<BTreeMap<&str, Value>> =
            names.iter().map(|name| Some((name.as_str(), value(name)?))).collect();
        let rendered = environment.get_template(TEMPLATE).ok()?.render(values?).ok()?;
        rendered.parse::<f64>().ok().filter(|score| score.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn score(text: &str, confidence: u8) -> Option<f64> {
        let finding = json!({
            "id": "a", "analysis": "own", "suite": "firewall", "title": "A beacon", "severity": "high",
            "confidence": confidence, "first_seen": null, "last_seen": null, "rows": 1, "stage": "beacon",
            "entities": [], "techniques": [], "explanation": "", "evidence": { "score": 0.83, "gaps": null },
        });
        BeaconScore::load(text, "own.toml", 3).unwrap().of(&serde_json::from_value(finding).unwrap())
    }

    #[test]
    fn a_score_is_a_column_or_computed_from_the_confidence() {
        assert_eq!(score("score", 10), Some(0.83));
        assert_eq!(score("((confidence / 0.95) | round) / 100", 81), Some(0.85));
        assert_eq!(score("gaps / 2", 10), None);
        assert_eq!(score("other", 10), None);
    }

    #[test]
    fn an_invalid_expression_is_named_with_its_line() {
        let error = BeaconScore::load("score +", "own.toml", 3).unwrap_err().to_string();
        assert!(error.contains("own.toml, line 3: beacon_score \"score +\""), "{error}");
    }
}
