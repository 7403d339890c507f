//! Markdown elements.

use std::fmt;

/// A table.
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: one cell of Markdown per column.
    pub(super) fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.to_vec());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Columns without content are left out.
        let has_content = |column: &usize| self.rows.iter().any(|row| !row[*column].is_empty());
        let columns: Vec<usize> = (0..self.head.len()).filter(has_content).collect();
        let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
        writeln!(formatter, "{}", line(columns.iter().map(|column| self.head[*column]).collect()))?;
        writeln!(formatter, "{}", line(columns.iter().map(|_| "---").collect()))?;
        for row in &self.rows {
            writeln!(formatter, "{}", line(columns.iter().map(|column| row[*column].as_str()).collect()))?;
        }
        Ok(())
    }
}

/// Text as the content of a cell.
pub(super) fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ").replace('|', "\\|");
    // Every second part is between backticks, where text is shown literally.
    let parts = line.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => part.replace('<', "&lt;"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

/// A name or value as code, within a cell or a sentence.
pub(super) fn code(text: &str) -> String {
    let ticks = if text.contains('`') { "``" } else { "`" };
    format!("{ticks}{}{ticks}", text.replace('|', "\\|"))
}

/// SQL on one line.
pub(super) fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names as code, with commas between them.
pub(super) fn codes<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_leave_out_columns_without_content() {
        let mut table = Table::new(&["name", "unit", "what"]);
        table.row(&[code("a|b"), String::new(), cell("one\n  <two> | `<three>`")]);
        assert_eq!(
            table.to_string(),
            "| name | what |\n| --- | --- |\n| `a\\|b` | one &lt;two> \\| `<three>` |\n"
        );
    }
}
