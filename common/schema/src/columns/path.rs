//! The path of a column in a lake's files: a name, fields of structs, elements of lists.

use std::fmt;

use serde::{Deserialize, Serialize};

use hindcast_base::{Error, Result};

/// Where a column is in the files of a lake, such as `DeviceName`, `src_endpoint.ip`, `answers[0].rdata` or `answers[*].rdata`.
///
/// ```
/// use hindcast_schema::{ColumnPath, PathStep};
///
/// let path: ColumnPath = "answers[*].rdata".parse()?;
/// let name = |text: &str| PathStep::Name(text.into());
/// assert_eq!(path.steps(), [name("answers"), PathStep::Each, name("rdata")]);
/// assert!("".parse::<ColumnPath>().is_err());
/// # Ok::<(), hindcast_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColumnPath {
    text: String,
    steps: Vec<PathStep>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathStep {
    /// A column, a field of a struct, or a key of a map. Neighbouring names may also be one name that contains dots.
    Name(String),
    /// An element of a list, counted from 0.
    Index(usize),
    /// All elements of a list.
    Each,
}

impl ColumnPath {
    /// The path as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its steps. The first one is a name.
    pub fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The column of that name, without any structure.
    pub fn of_name(name: &str) -> Self {
        Self { text: name.to_owned(), steps: vec![PathStep::Name(name.to_owned())] }
    }
}

impl std::str::FromStr for ColumnPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(Error::Invalid("the name of a column is empty".into()));
        }
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, elements) = elements_of(part);
            steps.push(PathStep::Name(name.to_owned()));
            steps.extend(elements);
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

/// Splits `answers[0][*]` into the name and the elements. Other brackets belong to the name.
fn elements_of(part: &str) -> (&str, Vec<PathStep>) {
    let mut elements = Vec::new();
    let mut name = part;
    while let Some((rest, inner)) = name.strip_suffix(']').and_then(|open| open.rsplit_once('[')) {
        let element = match inner {
            "*" => Some(PathStep::Each),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().map(PathStep::Index)
            }
            _ => None,
        };
        let Some(element) = element.filter(|_| !rest.is_empty()) else { break };
        elements.insert(0, element);
        name = rest;
    }
    (name, elements)
}

impl TryFrom<String> for ColumnPath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ColumnPath> for String {
    fn from(path: ColumnPath) -> Self {
        path.text
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<PathStep> {
        text.parse::<ColumnPath>().unwrap().steps().to_vec()
    }

    #[test]
    fn a_path_names_fields_and_elements() {
        let name = |text: &str| PathStep::Name(text.into());
        assert_eq!(steps("DeviceName"), [name("DeviceName")]);
        assert_eq!(steps("src_endpoint.ip"), [name("src_endpoint"), name("ip")]);
        assert_eq!(steps("a[0].b"), [name("a"), PathStep::Index(0), name("b")]);
        assert_eq!(steps("a[*][12]"), [name("a"), PathStep::Each, PathStep::Index(12)]);
    }

    #[test]
    fn other_brackets_belong_to_a_name() {
        let name = |text: &str| PathStep::Name(text.into());
        assert_eq!(steps("TimeGenerated [UTC]"), [name("TimeGenerated [UTC]")]);
        assert_eq!(steps("[0]"), [name("[0]")]);
        assert_eq!(steps("a[]"), [name("a[]")]);
    }
}
