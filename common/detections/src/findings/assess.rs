//! Assesses the rows of a result with the SQL of `[finding]`: whether a row is a finding, its severity and confidence.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;

use super::rule::{FindingRule, Severity};
use crate::analyses::Analysis;
use crate::bindings::Bindings;
use crate::config::Config;
use crate::sql::{self, SqlText, error_message, error_of};
use hindcast_base::{Error, Result};

/// The assessment of each row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowAssessment {
    /// Whether it is a finding.
    pub is_finding: Vec<bool>,
    /// Its severity; [`Severity::Low`] if it is not a finding.
    pub severity: Vec<Severity>,
    /// The confidence in it, 1 to 100; 0 if it is not a finding.
    pub confidence: Vec<u8>,
}

/// The three expressions of a rule over results of one schema, compiled.
#[derive(Debug)]
pub struct RowAssessor<'a> {
    rule: &'a FindingRule,
    is_finding: Arc<dyn PhysicalExpr>,
    severity: Arc<dyn PhysicalExpr>,
    confidence: Arc<dyn PhysicalExpr>,
}

impl<'a> RowAssessor<'a> {
    /// The expressions of the rule of `analysis` over results of `schema`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line of an expression that can't be planned.
    pub fn new(
        rule: &'a FindingRule,
        analysis: &Analysis,
        schema: &SchemaRef,
        config: &Config,
    ) -> Result<Self> {
        Self::compile(rule, &DFSchema::try_from(Arc::clone(schema))?, &analysis.bindings(config)?)
    }

    /// The expressions over `schema`, with the values of `bindings`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line of an expression that can't be planned or has the wrong type.
    pub fn compile(rule: &'a FindingRule, schema: &DFSchema, bindings: &Bindings) -> Result<Self> {
        let session = sql::session()?;
        let schema = Arc::new(schema.clone());
        let context = SimplifyContext::builder().with_schema(Arc::clone(&schema)).build();
        let simplifier = ExprSimplifier::new(context);
        let compiled = |text: &SqlText, what: &str, is_right: fn(&DataType) -> bool, wanted: &str| {
            let expr = sql::expression(text, &schema, bindings).map_err(|error| error_of(&error))?;
            // The optimiser must first replace functions that can't be executed.
            let planned = simplifier
                .coerce(expr, &schema)
                .and_then(|expr| session.create_physical_expr(simplifier.simplify(expr)?, &schema));
            let planned = planned.map_err(|error| at_fault(text, what, &error_message(&error)))?;
            let data_type = planned.data_type(schema.as_arrow())?;
            if !is_right(&data_type) {
                return Err(at_fault(text, what, &format!("it gives {data_type}, but {wanted} is needed")));
            }
            Ok(planned)
        };
        let is_truth = |data_type: &DataType| matches!(data_type, DataType::Boolean | DataType::Null);
        let is_text = |data_type: &DataType| {
            matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
        };
        Ok(Self {
            rule,
            is_finding: compiled(&rule.is_finding, "is_finding", is_truth, "true or false")?,
            severity: compiled(&rule.severity, "severity", is_text, "text")?,
            confidence: compiled(&rule.confidence, "confidence", DataType::is_numeric, "a number")?,
        })
    }

    /// The assessment of each row of `batch`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line if an expression fails for the rows, a finding's severity is not one of the four, or its
    /// confidence is not a whole number from 0 to 100.
    pub fn of(&self, batch: &RecordBatch) -> Result<RowAssessment> {
        let rows = batch.num_rows();
        let rule = self.rule;
        let truths = evaluated(&self.is_finding, batch, &rule.is_finding, "is_finding")?;
        let is_finding: BooleanArray = match truths.as_boolean_opt() {
            Some(truths) if truths.null_count() > 0 => prep_null_mask_filter(truths),
            Some(truths) => truths.clone(),
            // All are null.
            None => BooleanArray::from(vec![false; rows]),
        };
        let mut assessment = RowAssessment {
            is_finding: is_finding.values().iter().collect(),
            severity: vec![Severity::Low; rows],
            confidence: vec![0; rows],
        };
        if is_finding.true_count() == 0 {
            return Ok(assessment);
        }
        // Other rows need no severity: theirs may be null.
        let found = filter_record_batch(batch, &is_finding).map_err(engine)?;
        let texts = evaluated(&self.severity, &found, &rule.severity, "severity")?;
        let texts = cast(&texts, &DataType::Utf8).map_err(engine)?;
        let numbers = evaluated(&self.confidence, &found, &rule.confidence, "confidence")?;
        let numbers = cast(&numbers, &DataType::Float64).map_err(engine)?;
        let (texts, numbers) = (texts.as_string::<i32>(), numbers.as_primitive::<Float64Type>());
        let places = is_finding.values().set_indices();
        for (place, (text, number)) in places.zip(texts.iter().zip(numbers.iter())) {
            assessment.severity[place] =
                severity_of(text).map_err(|message| at_fault(&rule.severity, "severity", &message))?;
            assessment.confidence[place] = confidence_of(number)
                .map_err(|message| at_fault(&rule.confidence, "confidence", &message))?;
            // A row in which there is no confidence is a row of the table and nothing else.
            assessment.is_finding[place] = assessment.confidence[place] > 0;
        }
        Ok(assessment)
    }
}

fn evaluated(
    expr: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
    text: &SqlText,
    what: &str,
) -> Result<ArrayRef> {
    let values = expr.evaluate(batch).and_then(|values| values.into_array(batch.num_rows()));
    values.map_err(|error| at_fault(text, what, &error_message(&error)))
}

fn severity_of(text: Option<&str>) -> std::result::Result<Severity, String> {
    let known = Severity::ALL.map(Severity::name);
    let found = Severity::ALL.into_iter().find(|severity| text == Some(severity.name()));
    found.ok_or_else(|| {
        let actual = text.map_or_else(|| "null".to_owned(), |text| format!("{text:?}"));
        format!("a finding has {actual}, which is not one of {}", known.join(", "))
    })
}

fn confidence_of(number: Option<f64>) -> std::result::Result<u8, String> {
    match number {
        Some(number) if (0.0..=100.0).contains(&number) && number.fract() == 0.0 => Ok(number as u8),
        Some(number) => Err(format!("a finding has {number}, which is not a whole number from 0 to 100")),
        None => Err("a finding has null, but a whole number from 0 to 100 is needed".to_owned()),
    }
}

/// An error in an expression of the rule, with its file and line.
fn at_fault(text: &SqlText, what: &str, message: &str) -> Error {
    Error::in_file(text.file, text.line, format!("{what}: {message}"))
}

fn engine(error: arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};

    use super::super::explanation::Explanation;
    use super::super::rule::{KillChainPhase, Period};
    use super::*;

    fn rule(is_finding: &'static str, severity: &'static str, confidence: &'static str) -> FindingRule {
        let sql = |text| SqlText { file: "mine/detection.toml", line: 9, text };
        FindingRule {
            title: "Test".into(),
            techniques: Vec::new(),
            stage: KillChainPhase::Beacon,
            entities: Vec::new(),
            first_seen: "first_seen".into(),
            last_seen: "last_seen".into(),
            period: Period::Window,
            is_finding: sql(is_finding),
            severity: sql(severity),
            confidence: sql(confidence),
            explanation: Explanation::load("{{ queries }}", "mine/detection.toml", 12).unwrap(),
            beacon_score: None,
            by: Vec::new(),
            evidence: Vec::new(),
            lines: [1; 4],
        }
    }

    fn assess(rule: &FindingRule) -> Result<RowAssessment> {
        let columns: [(&str, ArrayRef); 2] = [
            ("queries", Arc::new(Int64Array::from(vec![Some(20), Some(400), None, Some(7)]))),
            ("average", Arc::new(Float64Array::from(vec![Some(150.0), Some(300.0), Some(200.0), None]))),
        ];
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)));
        let batch = batch.unwrap();
        let schema = DFSchema::try_from(batch.schema()).unwrap();
        RowAssessor::compile(rule, &schema, &Bindings::default())?.of(&batch)
    }

    #[test]
    fn rows_are_assessed_by_sql_and_null_is_not_a_finding() {
        let severity = "CASE WHEN queries >= 100 THEN 'high' ELSE 'medium' END";
        let rule = rule("average > 100", severity, "least(coalesce(50 + queries / 10, 50), 85)");
        let assessment = assess(&rule).unwrap();
        assert_eq!(assessment.is_finding, [true, true, true, false]);
        let [low, medium, high] = [Severity::Low, Severity::Medium, Severity::High];
        assert_eq!(assessment.severity, [medium, high, medium, low]);
        assert_eq!(assessment.confidence, [52, 85, 50, 0]);
    }

    #[test]
    fn invalid_values_are_named_with_file_and_line() {
        for (is_finding, severity, confidence, expected) in [
            ("true", "'bad'", "50", "a finding has \"bad\", which is not one of low, medium, high, critical"),
            ("true", "'low'", "queries", "a finding has 400, which is not a whole number from 0 to 100"),
            ("queries IS NULL", "'low'", "queries", "a finding has null"),
            ("queries + 1", "'low'", "1", "it gives Int64, but true or false is needed"),
            ("true", "queries", "1", "it gives Int64, but text is needed"),
            ("querys > 1", "'low'", "1", "querys"),
        ] {
            let error = assess(&rule(is_finding, severity, confidence)).unwrap_err().to_string();
            assert!(
                error.starts_with("mine/detection.toml, line 9: ") && error.contains(expected),
                "{error}"
            );
        }
    }
}
