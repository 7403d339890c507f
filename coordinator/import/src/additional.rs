//! Fields for which a known table has no column: they become one JSON object in its column AdditionalFields.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use hindcast_lake::{ADDITIONAL_FIELDS, TableSpec, mapping_presets};
use serde_json::value::RawValue;

use hindcast_records::format::Record;
use hindcast_records::source::TableRule;

/// Columns that every table of a workspace has, whether or not the table's definition names them.
const STANDARD_COLUMNS: [&str; 5] = ["TenantId", "SourceSystem", "Type", "_ResourceId", "_SubscriptionId"];

/// Whether a field with this name, which no rule reads, is a column of the table `spec` rather than an additional field.
pub(super) fn is_column(spec: &TableSpec, rule: &TableRule, field: &str) -> bool {
    // Rows of another schema, for which the user may choose a preset later.
    let is_of_preset = || {
        let mut presets = mapping_presets().iter().filter(|preset| preset.table() == spec.name);
        rule.is_generic() && presets.any(|preset| preset.reads(field))
    };
    spec.column(field).is_some()
        || STANDARD_COLUMNS.contains(&field)
        || rule.columns.contains_key(field)
        || rule.constants.contains_key(field)
        || rule.types.contains_key(field)
        || rule.record_id.as_deref() == Some(field)
        || is_of_preset()
}

/// A value of the object.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// JSON of an object that the record brought.
    Json(&'a str),
    /// The text of a field.
    Text(&'a str),
}

impl Value<'_> {
    fn write(self, target: &mut String) {
        match self {
            Value::Json(json) => target.push_str(json),
            Value::Text(text) => push_text(target, text),
        }
    }

    fn json(self) -> String {
        let mut json = String::new();
        self.write(&mut json);
        json
    }
}

/// Writes the object of the fields at `places` of a record to `target`, sorted by name. `own` is the value that the record
/// has for the column: the members of an object are kept as they are, any other text is kept under the column's name.
pub(super) fn write(own: Option<&str>, record: &Record<'_>, places: &[usize], target: &mut String) {
    let mut members: Vec<(Cow<'_, str>, Value<'_>)> = Vec::with_capacity(places.len());
    if let Some(own) = own.filter(|own| !own.trim().is_empty()) {
        match serde_json::from_str::<BTreeMap<String, &RawValue>>(own) {
            Ok(object) => {
                let raw = object.into_iter().map(|(name, raw)| (Cow::Owned(name), Value::Json(raw.get())));
                members.extend(raw);
            }
            Err(_) => members.push((Cow::Borrowed(ADDITIONAL_FIELDS), Value::Text(own))),
        }
    }
    let field = |place: &usize| {
        let (name, value) = &record[*place];
        (Cow::Borrowed(name.as_ref()), Value::Text(value))
    };
    members.extend(places.iter().map(field));
    members.sort_by(|left, right| left.0.cmp(&right.0));
    if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        members = numbered(members);
    }
    target.clear();
    let mut separator = '{';
    for (name, value) in &members {
        target.push(separator);
        push_text(target, name);
        target.push(':');
        value.write(target);
        separator = ',';
    }
    target.push('}');
}

/// The members with names that differ: of several values with one name, the first keeps it, and each other value gets a
/// number (`name_2`). The same value again is left out.
fn numbered<'a>(members: Vec<(Cow<'a, str>, Value<'a>)>) -> Vec<(Cow<'a, str>, Value<'a>)> {
    let mut values: HashMap<String, Vec<String>> = HashMap::new();
    let mut distinct: BTreeMap<Cow<'a, str>, Value<'a>> = BTreeMap::new();
    let mut repeated = Vec::new();
    for (name, value) in members {
        let known = values.entry(name.clone().into_owned()).or_default();
        let text = if let Value::Text(text) = value { text } else { "" };
        if known.iter().any(|json| *json == value.json() || json == text) {
            continue;
        }
        known.push(value.json());
        match distinct.contains_key(&name) {
            true => repeated.push((name, value)),
            false => _ = distinct.insert(name, value),
        }
    }
    for (name, value) in repeated {
        let free =
            (2..).map(|number| format!("{name}_{number}")).find(|free| !distinct.contains_key(free.as_str()));
        distinct.insert(free.map_or(name, Cow::Owned), value);
    }
    distinct.into_iter().collect()
}

/// Appends `text` as a JSON string.
fn push_text(target: &mut String, text: &str) {
    target.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        target.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'\n' => target.push_str("\\n"),
            b'\r' => target.push_str("\\r"),
            b'\t' => target.push_str("\\t"),
            byte @ (b'"' | b'\\') => target.extend(['\\', char::from(byte)]),
            byte => _ = write!(target, "\\u{byte:04x}"),
        }
        rest = &rest[at + 1..];
    }
    target.push_str(rest);
    target.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(own: Option<&str>, fields: &[(&'static str, &'static str)]) -> String {
        let record: Record<'_> =
            fields.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect();
        let places: Vec<usize> = (0..record.len()).collect();
        let mut text = "of the last record".to_owned();
        write(own, &record, &places, &mut text);
        text
    }

    #[test]
    fn fields_are_sorted_and_their_values_are_text() {
        let fields = [("b", "1.50"), ("a", "{\"x\": [1]}"), ("ä\"", "line\n\t\u{1}\\ü😀"), ("B", "")];
        let text = object(None, &fields);
        assert_eq!(text, r#"{"B":"","a":"{\"x\": [1]}","b":"1.50","ä\"":"line\n\t\u0001\\ü😀"}"#);
        let parsed: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        assert!(fields.iter().all(|(name, value)| parsed[*name] == *value));
    }

    #[test]
    fn an_object_of_the_record_keeps_its_members() {
        let own = r#"{"n": 5, "z":{"deep":[1,  2]}, "a":"\u00e4"}"#;
        assert_eq!(
            object(Some(own), &[("m", "x"), ("n", "5")]),
            r#"{"a":"\u00e4","m":"x","n":5,"z":{"deep":[1,  2]}}"#
        );
        for own in ["free text", "[1]"] {
            let members =
                format!("{{\"AdditionalFields\":{},\"m\":\"x\"}}", serde_json::to_string(own).unwrap());
            assert_eq!(object(Some(own), &[("m", "x")]), members);
        }
        assert_eq!(object(Some(" "), &[("m", "x")]), r#"{"m":"x"}"#);
    }

    #[test]
    fn values_with_the_same_name_are_all_kept() {
        let fields = [("a", "1"), ("a", "2"), ("a_2", "3"), ("a", "1"), ("a", "4")];
        assert_eq!(object(None, &fields), r#"{"a":"1","a_2":"3","a_3":"2","a_4":"4"}"#);
        assert_eq!(
            object(Some(r#"{"a":1,"b":"x"}"#), &[("a", "2"), ("b", "x")]),
            r#"{"a":1,"a_2":"2","b":"x"}"#
        );
    }

    #[test]
    fn columns_of_the_table_and_of_the_rule_are_columns() {
        let spec = TableSpec::by_name("CommonSecurityLog").unwrap();
        let mapping = "table = \"CommonSecurityLog\"\ncolumns = { Own = \"x\" }\nconstants = { Site = \"b\" }\n\
                       types = { ms = \"integer\" }";
        let mut rule: TableRule = toml::from_str(mapping).unwrap();
        rule.record_id = Some("Id".to_owned());
        for (field, wanted) in [
            ("SentBytes", true),
            ("FlexString2", true),
            (ADDITIONAL_FIELDS, true),
            ("TenantId", true),
            ("Own", true),
            ("Site", true),
            ("ms", true),
            ("Id", true),
            ("x", false),
            ("sentbytes", false),
            ("id.orig_h", false),
        ] {
            assert_eq!(is_column(spec, &rule, field), wanted, "{field}");
        }
        // Rows of another schema keep what a preset of the table reads.
        assert!(is_column(spec, &TableRule::default(), "id.orig_h"));
        assert!(!is_column(spec, &TableRule::default(), "whatever"));
    }
}
