//! Raw logs as records: reads files and archives in any encoding and compression, detects their format, cuts them into records, and
//! finds the source of these. Sources are data: a TOML file each says which fields fill which columns of which table.

pub mod blocks;
pub mod built_in;
pub mod cef;
pub mod csv_records;
pub mod detect;
pub mod documents;
pub mod each;
pub mod encoding;
pub mod envelopes;
pub mod format;
pub mod framing;
pub mod inputs;
pub mod json;
pub mod lines;
pub mod made;
pub mod messages;
pub mod octet_counted;
pub mod paths;
pub mod rejects;
pub mod rule_values;
pub mod source;
pub mod table_rule;
pub mod time_format;
pub mod unsupported;
pub mod watched;
pub mod windows;
pub mod within;
pub mod wrapped;
pub mod zeek;
