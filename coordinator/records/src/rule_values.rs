//! Values in the rules of a source.

use hindcast_lake::ColumnKind;
use serde::Deserialize;

/// One field, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected the name of a field, or a list of names")]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several, the best first.
    More(Vec<String>),
}

impl OneOrMore {
    /// All of them, the best first.
    pub fn all(&self) -> &[String] {
        match self {
            OneOrMore::One(name) => std::slice::from_ref(name),
            OneOrMore::More(names) => names,
        }
    }
}

/// A column's type in a mapping file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeName {
    /// UTC microseconds.
    Time,
    /// Text.
    Text,
    /// A whole number.
    Integer,
}

impl From<TypeName> for ColumnKind {
    fn from(name: TypeName) -> Self {
        match name {
            TypeName::Time => ColumnKind::Time,
            TypeName::Text => ColumnKind::Text,
            TypeName::Integer => ColumnKind::Integer,
        }
    }
}
