//! The file of a table: `tables/<Name>.toml`, of the built-in tables and of users' own.

use std::collections::BTreeMap;
use std::ops::Range;

use hindcast_base::entities::EntityKind;
use hindcast_base::file_fault::FileFault;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};
use serde::Deserialize;
use toml::Spanned;

use super::selection::{EntityColumn, Form, Role};
use super::tables::{ADDITIONAL_FIELDS, ColumnKind, ColumnSpec, TableSpec};

/// The place of tables that give none: after those that do.
const LAST: u32 = 10_000;
/// Most characters of a name.
const MAX_NAME: usize = 128;

/// A table as written in its file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    doc: String,
    position: Option<u32>,
    time_column: Spanned<String>,
    shard_key: Option<Spanned<String>>,
    #[serde(default)]
    entities: Vec<WrittenEntity>,
    columns: BTreeMap<Spanned<String>, ColumnKind>,
    #[serde(default)]
    optional_columns: BTreeMap<Spanned<String>, ColumnKind>,
}

/// A column that names entities, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntity {
    column: Spanned<String>,
    names: Whom,
    #[serde(default)]
    form: WrittenForm,
    #[serde(default = "own")]
    roles: Spanned<Vec<WrittenRole>>,
    unless: Option<Spanned<String>>,
}

fn own() -> Spanned<Vec<WrittenRole>> {
    Spanned::new(0..0, vec![WrittenRole::Own])
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Whom {
    Device,
    User,
    Ip,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenForm {
    #[default]
    Is,
    Mentions,
    Contains,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenRole {
    Own,
    OwnWhereKnown,
    Related,
    UsersAddress,
}

/// A file's path and text.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

/// Reads the table in the `text` of the file at `path`, whose name is that of the table. It stays in memory as long as the process.
///
/// # Errors
/// [`Error::File`] with the file and line of the mistake.
pub fn read_table(path: &str, text: &str) -> Result<&'static TableSpec> {
    let source = Source { path, text: text.trim_start_matches('\u{feff}') };
    let name = source.name()?;
    let written: Written = toml::from_str(source.text).map_err(|error| source.unreadable(&error))?;
    let mut columns = Vec::new();
    source.add_columns(&written.columns, false, &mut columns)?;
    source.add_columns(&written.optional_columns, true, &mut columns)?;
    if !columns.iter().any(|column| column.name == ADDITIONAL_FIELDS) {
        columns.push(ColumnSpec { name: ADDITIONAL_FIELDS, kind: ColumnKind::Text, is_optional: true });
    }
    let time_column = source.column(&columns, &written.time_column, ColumnKind::Time, "time_column")?;
    let shard_key = written.shard_key.as_ref();
    let shard_key =
        shard_key.map(|key| source.column(&columns, key, ColumnKind::Text, "shard_key")).transpose()?;
    let mut entity_columns = Vec::new();
    for entity in &written.entities {
        source.add_entity(&columns, entity, &mut entity_columns)?;
    }
    Ok(Box::leak(Box::new(TableSpec {
        name: leaked(name),
        position: written.position.unwrap_or(LAST),
        doc: leaked(&written.doc),
        time_column,
        shard_key,
        columns: Box::leak(columns.into_boxed_slice()),
        entity_columns: Box::leak(entity_columns.into_boxed_slice()),
    })))
}

impl<'a> Source<'a> {
    /// The table's name: that of the file.
    fn name(&self) -> Result<&'a str> {
        let file = self.path.rsplit('/').next().unwrap_or(self.path);
        let name = file.strip_suffix(".toml").ok_or_else(|| {
            Error::in_file(self.path, 1, "a table is a TOML file; move this file out of the folder")
        })?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name && !name.is_empty() && name.len() <= MAX_NAME {
            return Ok(name);
        }
        let message = format!(
            "{name:?} is not a valid name of a table: name the file with letters, digits and _, at most {MAX_NAME}"
        );
        Err(Error::in_file(self.path, 1, message))
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }

    fn wrong(&self, span: &Range<usize>, message: String) -> Error {
        Error::in_file(self.path, self.line(span), message)
    }

    /// The error of text that is not a table, with the lines it quotes.
    fn unreadable(&self, error: &toml::de::Error) -> Error {
        Error::File(FileFault {
            file: self.path.to_owned(),
            line: error.span().map(|span| self.line(&span)),
            message: error.message().to_owned(),
            excerpt: Some(error.to_string().trim_end().to_owned()),
        })
    }

    /// Adds the columns of a section, in the order of the file.
    fn add_columns(
        &self,
        written: &BTreeMap<Spanned<String>, ColumnKind>,
        is_optional: bool,
        columns: &mut Vec<ColumnSpec>,
    ) -> Result<()> {
        let mut in_order: Vec<(&Spanned<String>, ColumnKind)> =
            written.iter().map(|(name, kind)| (name, *kind)).collect();
        in_order.sort_by_key(|(name, _)| name.span().start);
        for (column, kind) in in_order {
            let name = column.get_ref();
            if name.trim() != name || name.is_empty() {
                return Err(self.wrong(&column.span(), format!("{name:?} can't be the name of a column")));
            }
            if columns.iter().any(|known| known.name == name) {
                let message = format!("there is a column {name} already; remove one of the two");
                return Err(self.wrong(&column.span(), message));
            }
            columns.push(ColumnSpec { name: leaked(name), kind, is_optional });
        }
        Ok(())
    }

    /// The name of a column of `kind` that `key` names.
    fn column(
        &self,
        columns: &[ColumnSpec],
        name: &Spanned<String>,
        kind: ColumnKind,
        key: &str,
    ) -> Result<&'static str> {
        let wanted = name.get_ref();
        let Some(column) = columns.iter().find(|column| column.name == wanted) else {
            let hint = did_you_mean(wanted, columns.iter().map(|column| column.name));
            let message = format!("{key} names {wanted:?}, which is not one of its columns{hint}");
            return Err(self.wrong(&name.span(), message));
        };
        if column.kind != kind {
            let (is, needs) = (column.kind.name(), kind.name());
            let message = format!("{key} names {wanted}, which is {is}, but it has to be {needs}");
            return Err(self.wrong(&name.span(), message));
        }
        Ok(column.name)
    }

    fn add_entity(
        &self,
        columns: &[ColumnSpec],
        written: &WrittenEntity,
        found: &mut Vec<EntityColumn>,
    ) -> Result<()> {
        let column = self.column(columns, &written.column, ColumnKind::Text, "entities")?;
        let unless = written.unless.as_ref();
        let unless =
            unless.map(|other| self.column(columns, other, ColumnKind::Text, "unless")).transpose()?;
        let kind = match written.names {
            Whom::Device => EntityKind::Device,
            Whom::User => EntityKind::User,
            Whom::Ip => EntityKind::Ip,
        };
        let form = match written.form {
            WrittenForm::Is => Form::Is,
            WrittenForm::Mentions => Form::Mentions,
            WrittenForm::Contains => Form::Contains,
        };
        for role in written.roles.get_ref() {
            if matches!((role, kind), (WrittenRole::Related, EntityKind::User)) {
                let message = "related names are those of devices and addresses".to_owned();
                return Err(self.wrong(&written.roles.span(), message));
            }
            let role = match (role, unless) {
                (WrittenRole::Own, Some(other)) => Role::OwnUnless(other),
                (_, Some(_)) => {
                    let message = "unless goes only with the role \"own\"".to_owned();
                    return Err(self.wrong(&written.roles.span(), message));
                }
                (WrittenRole::Own, None) => Role::Own,
                (WrittenRole::OwnWhereKnown, None) => Role::OwnWhereKnown,
                (WrittenRole::Related, None) => Role::Related,
                (WrittenRole::UsersAddress, None) => Role::UsersAddress,
            };
            found.push(EntityColumn { column, kind, form, role });
        }
        Ok(())
    }
}

/// Text that lives as long as the process, as tables do.
fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tables;

    const GOOD: &str = r#"doc = "Requests of a proxy."
time_column = "Time"
shard_key = "Host"
entities = [
    { column = "Host", names = "device", roles = ["own", "related"] },
    { column = "Users", names = "user", form = "mentions", unless = "Host" },
]

[columns]
Time = "time"
Users = "text"
Host = "text"
Bytes = "integer"

[optional_columns]
Agent = "text"
"#;

    fn error_with(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replace(from, to);
        Tables::with_own(&[("own/tables/Proxy_CL.toml", &text)]).unwrap_err().to_string()
    }

    #[test]
    fn a_table_is_as_its_file_says() {
        let tables = Tables::with_own(&[("own/tables/Proxy_CL.toml", GOOD)]).unwrap();
        let table = tables.by_name("Proxy_CL").unwrap();
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        let in_order = ["Time", "Users", "Host", "Bytes", "Agent", "AdditionalFields"];
        assert_eq!(names, in_order, "in the order of the file");
        let optional: Vec<&str> =
            table.columns.iter().filter(|column| column.is_optional).map(|column| column.name).collect();
        assert_eq!(optional, ["Agent", "AdditionalFields"]);
        assert_eq!(
            (table.doc, table.time_column, table.shard_key),
            ("Requests of a proxy.", "Time", Some("Host"))
        );
        let roles: Vec<(&str, Form, Role)> =
            table.entity_columns.iter().map(|one| (one.column, one.form, one.role)).collect();
        let expected = [
            ("Host", Form::Is, Role::Own),
            ("Host", Form::Is, Role::Related),
            ("Users", Form::Mentions, Role::OwnUnless("Host")),
        ];
        assert_eq!(roles, expected);
        assert!(Tables::built_in().by_name("Proxy_CL").is_none());
        assert_eq!(tables.all().last().map(|table| table.name), Some("Proxy_CL"));
    }

    #[test]
    fn mistakes_have_file_and_line() {
        for (from, to, expected) in [
            (
                "time_column = \"Time\"",
                "time_column = \"Tine\"",
                "line 2: time_column names \"Tine\", which is not one of its columns; did you mean Time?",
            ),
            (
                "time_column = \"Time\"",
                "time_column = \"Host\"",
                "line 2: time_column names Host, which is text, but it has to be time",
            ),
            (
                "shard_key = \"Host\"",
                "shard_key = \"Bytes\"",
                "line 3: shard_key names Bytes, which is integer, but it has to be text",
            ),
            (
                "column = \"Host\"",
                "column = \"Hosts\"",
                "line 5: entities names \"Hosts\", which is not one of its columns; did you mean Host?",
            ),
            ("unless = \"Host\"", "unless = \"Bytes\"", "line 6: unless names Bytes, which is integer"),
            (
                "form = \"mentions\"",
                "roles = [\"own_where_known\"]",
                "line 6: unless goes only with the role \"own\"",
            ),
            (
                "form = \"mentions\", unless = \"Host\"",
                "roles = [\"related\"]",
                "line 6: related names are those of devices and addresses",
            ),
            ("Agent = ", "Host = ", "line 16: there is a column Host already; remove one of the two"),
            ("Bytes = \"integer\"", "\" \" = \"integer\"", "line 13: \" \" can't be the name of a column"),
        ] {
            let error = error_with(from, to);
            assert!(error.contains("own/tables/Proxy_CL.toml, ") && error.contains(expected), "{error}");
        }
        for (from, to, expected) in [
            ("\"device\"", "\"url\"", "unknown variant `url`"),
            ("\"integer\"", "\"long\"", "unknown variant `long`, expected one of `time`, `text`, `integer`"),
            ("doc =", "docs =", "unknown field `docs`"),
            ("Bytes = \"integer\"", "Host = \"integer\"", "duplicate key"),
            ("time_column = \"Time\"", "", "missing field `time_column`"),
        ] {
            let error = error_with(from, to);
            assert!(error.starts_with("own/tables/Proxy_CL.toml: TOML parse error at line"), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn names_of_tables_are_valid_and_free() {
        for (path, expected) in [
            ("own/tables/Proxy-CL.toml", "line 1: \"Proxy-CL\" is not a valid name of a table"),
            ("own/tables/.toml", "line 1: \"\" is not a valid name of a table"),
            ("own/tables/notes.txt", "line 1: a table is a TOML file; move this file out of the folder"),
            ("own/tables/AuditLogs.toml", "line 1: there is a table AuditLogs already; choose another name"),
        ] {
            let error = Tables::with_own(&[(path, GOOD)]).unwrap_err().to_string();
            assert!(error.starts_with(path) && error.contains(expected), "{error}");
        }
        let twice = [("a/tables/Own.toml", GOOD), ("b/tables/Own.toml", GOOD)];
        let error = Tables::with_own(&twice).unwrap_err().to_string();
        assert!(error.starts_with("b/tables/Own.toml, line 1: there is a table Own already"), "{error}");
    }

    #[test]
    fn every_built_in_table_names_entities() {
        for table in Tables::built_in().all() {
            assert!(!table.entity_columns.is_empty() && !table.doc.is_empty(), "{}", table.name);
        }
    }
}
