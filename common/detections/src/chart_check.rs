//! Checks the definition of a chart: columns and parameters exist, and templates can be rendered.

use std::collections::BTreeMap;

use super::ColumnType;
use super::chart::{Amount, ChartDefinition, Combine, Layout, Line, Points, Preference};
use super::row_text::{RowText, text_of_number};

/// The types that a column may have.
#[derive(Clone, Copy)]
enum Needs {
    Number,
    Time,
    NumberOrTime,
    Any,
}

impl Needs {
    fn takes(self, kind: ColumnType) -> bool {
        let is_number = matches!(kind, ColumnType::Integer | ColumnType::Float);
        match self {
            Needs::Number => is_number,
            Needs::Time => kind == ColumnType::Time,
            Needs::NumberOrTime => is_number || kind == ColumnType::Time,
            Needs::Any => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Needs::Number => "a number",
            Needs::Time => "a time",
            Needs::NumberOrTime => "a number or a time",
            Needs::Any => "a value",
        }
    }
}

impl ChartDefinition {
    /// Checks that the columns of the table exist and can be drawn, that templates can be rendered, and that parameters exist.
    ///
    /// # Errors
    /// A message that names the chart and what is wrong with it.
    pub fn check(
        &self,
        columns: &BTreeMap<&str, ColumnType>,
        is_number_parameter: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let of_chart = |problem: String| format!("chart {:?}: {problem}", self.title());
        self.texts().into_iter().try_for_each(|text| text.check(columns)).map_err(of_chart)?;
        for (column, needs) in self.columns() {
            match columns.get(column) {
                Some(kind) if needs.takes(*kind) => {}
                Some(_) => return Err(of_chart(format!("the column {column} is not {}", needs.name()))),
                None => return Err(of_chart(format!("{column} is not a column of the result"))),
            }
        }
        for amount in self.amounts() {
            let is_known = |name: &str| is_number_parameter(name).then_some(1.0);
            if let (None, Amount::Parameter(text)) = (amount.value(is_known), amount) {
                let hint = "a number, or $name of a numeric parameter of the detection or of uses";
                return Err(of_chart(format!("{text:?} is not {hint}")));
            }
        }
        let lines = self.lines().iter();
        lines
            .map(|line| text_of_number(&line.text, 1.0))
            .try_for_each(|text| text.map(drop))
            .map_err(of_chart)?;
        self.contradiction().map_or(Ok(()), |problem| Err(of_chart(problem.to_owned())))
    }

    fn contradiction(&self) -> Option<&'static str> {
        match self {
            ChartDefinition::Bars(chart) if chart.combine == Combine::Max && chart.series.is_some() => {
                Some("combine = \"max\" takes no series")
            }
            ChartDefinition::Measures(chart) if chart.measures.is_empty() => Some("it has no measures"),
            ChartDefinition::Measures(chart) if chart.layout == Layout::Panels && !chart.lines.is_empty() => {
                Some("panels take no lines")
            }
            ChartDefinition::Points(chart) => {
                let colours = [chart.series.is_some(), chart.shade.is_some(), chart.colour.is_some()];
                let too_few = chart.shade.as_ref().is_some_and(|shade| shade.colours.len() < 2);
                match colours.into_iter().filter(|is_given| *is_given).count() {
                    0 | 1 => too_few.then_some("a shade has at least two colours"),
                    _ => Some("series, shade and colour exclude each other"),
                }
            }
            _ => None,
        }
    }

    fn texts(&self) -> Vec<&RowText> {
        match self {
            ChartDefinition::Bars(chart) => [&chart.label].into_iter().chain(&chart.series).collect(),
            ChartDefinition::Measures(chart) => vec![&chart.label],
            ChartDefinition::Parts(chart) => vec![&chart.inner, &chart.outer],
            ChartDefinition::Areas(chart) => chart.series.iter().collect(),
            ChartDefinition::Points(chart) => chart.hover.iter().chain(&chart.series).collect(),
            ChartDefinition::Matrix(chart) => vec![&chart.row, &chart.column],
            ChartDefinition::Map(chart) => vec![&chart.name],
        }
    }

    fn columns(&self) -> Vec<(&str, Needs)> {
        let number = |column| (column, Needs::Number);
        match self {
            ChartDefinition::Bars(chart) => chart.value.as_deref().map(number).into_iter().collect(),
            ChartDefinition::Measures(chart) => {
                chart.measures.iter().map(|measure| number(measure.column.as_str())).collect()
            }
            ChartDefinition::Parts(chart) => chart.value.as_deref().map(number).into_iter().collect(),
            ChartDefinition::Areas(chart) => {
                let time = (chart.time.as_str(), Needs::Time);
                [time].into_iter().chain(chart.value.as_deref().map(number)).collect()
            }
            ChartDefinition::Points(chart) => chart.columns(),
            ChartDefinition::Matrix(chart) => chart.value.as_deref().map(number).into_iter().collect(),
            ChartDefinition::Map(chart) => {
                let places = [chart.longitude.as_str(), chart.latitude.as_str()].map(number);
                places.into_iter().chain(chart.value.as_deref().map(number)).collect()
            }
        }
    }

    fn lines(&self) -> &[Line] {
        match self {
            ChartDefinition::Measures(chart) => &chart.lines,
            ChartDefinition::Points(chart) => &chart.lines,
            _ => &[],
        }
    }

    fn amounts(&self) -> Vec<&Amount> {
        match self {
            ChartDefinition::Areas(chart) => vec![&chart.bin_minutes],
            other => other.lines().iter().map(|line| &line.at).collect(),
        }
    }
}

impl Points {
    fn columns(&self) -> Vec<(&str, Needs)> {
        let axes = [&self.x, &self.y].map(|axis| (axis.column.as_str(), Needs::NumberOrTime));
        let amounts = self.size.iter().map(|size| size.column.as_str());
        let amounts = amounts.chain(self.shade.iter().map(|shade| shade.column.as_str()));
        let most = self.most.iter().map(|entry| match Preference::of(entry) {
            Preference::Text(column, _) => (column, Needs::Any),
            Preference::Number { column, .. } => (column, Needs::Number),
        });
        axes.into_iter().chain(amounts.map(|column| (column, Needs::Number))).chain(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(text: &str) -> Result<ChartDefinition, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn problem(text: &str) -> String {
        let columns = BTreeMap::from([
            ("source_ip", ColumnType::Text),
            ("first_seen", ColumnType::Time),
            ("score", ColumnType::Float),
        ]);
        let chart = chart(text).unwrap();
        chart.check(&columns, |name| name == "min_score").err().unwrap_or_default()
    }

    #[test]
    fn a_chart_is_checked_against_columns_and_parameters() {
        let points = "kind = 'points'\ntitle = 'Scores'\nwhich = 'pairs'\nhover = ['source_ip']\n";
        let axes = "x = { column = 'first_seen' }\ny = { column = 'score' }\n";
        let all = format!("{points}{axes}");
        assert_eq!(problem(&all), "");
        assert_eq!(problem(&format!("{all}[[lines]]\nat = '$min_score'\ntext = 'from {{{{ value }}}}'")), "");
        let unknown = problem(&format!("{all}[[lines]]\nat = '$least'\ntext = ''"));
        assert!(unknown.starts_with("chart \"Scores\": \"$least\" is not a number"), "{unknown}");
        let wrong = problem(&format!("{points}x = {{ column = 'source_ip' }}\ny = {{ column = 'score' }}"));
        assert_eq!(wrong, "chart \"Scores\": the column source_ip is not a number or a time");
        let colours = problem(&format!("{all}colour = 'red'\nseries = 'source_ip'"));
        assert!(colours.contains("exclude each other"), "{colours}");
        let bars = problem("kind = 'bars'\ntitle = 'T'\nlabel = 'source_ip'\nvalue = 'events'\naxis = 'a'");
        assert_eq!(bars, "chart \"T\": events is not a column of the result");
    }

    #[test]
    fn unknown_fields_and_kinds_are_refused() {
        let bars = "title = 'T'\nlabel = 'source_ip'\naxis = 'a'\n";
        assert!(chart(&format!("kind = 'bars'\n{bars}")).is_ok());
        assert!(chart(&format!("kind = 'bars'\n{bars}colour = 'red'")).unwrap_err().contains("colour"));
        assert!(chart(&format!("kind = 'pie'\n{bars}")).unwrap_err().contains("pie"));
    }
}
