//! Tests that no record is taken for an envelope, and that wrappers give way to their fields.

use super::*;

fn begins(text: &str) -> Option<(&str, Vec<String>)> {
    beginning(text.as_bytes(), true).map(|found| match found {
        Beginning::Open => (text, vec!["open".to_owned()]),
        Beginning::Objects(length) => (&text[length..], Vec::new()),
        Beginning::Rows(length, names) => (&text[length..], names),
        Beginning::Nothing(length) => (&text[..length], vec!["nothing".to_owned()]),
    })
}

#[test]
fn lists_of_records_are_found_in_answers() {
    for (text, rest) in [
        ("{\"records\": [{\"a\":1}]}", "{\"a\":1}]}"),
        (
            "{\"took\":5,\"_shards\":{\"total\":1},\"hits\":{\"total\":{\"value\":2},\"max_score\":null,\"hits\":[{",
            "{",
        ),
        (
            "{\"preview\":false,\"init_offset\":0,\"messages\":[],\"fields\":[{\"name\":\"_time\"}],\"results\":[{}], \"highlighted\":{}}",
            "{}], \"highlighted\":{}}",
        ),
        ("{\"Stats\":{},\"Schema\":[{\"Name\":\"A\"}],\"Results\":[]}", "]}"),
        ("{\"value\":[{}],\"nextLink\":\"x\"}", "{}],\"nextLink\":\"x\"}"),
        (
            "{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"1\",\"logGroup\":\"g\",\"logStream\":\"s\",\"subscriptionFilters\":[\"f\"],\"logEvents\":[{}]}",
            "{}]}",
        ),
        (
            "{\"events\":[{}],\"searchedLogStreams\":[],\"nextToken\":\"x\"}",
            "{}],\"searchedLogStreams\":[],\"nextToken\":\"x\"}",
        ),
    ] {
        assert_eq!(begins(text), Some((rest, Vec::new())), "{text}");
    }
    // Records with a field of that name.
    for text in [
        "{\"name\":\"x\",\"value\":[{\"k\":1}],\"user\":\"ada\"}",
        "{\"value\":[{\"k\":1}],\"user\":\"ada\"}",
        "{\"results\":[1,2]}",
        "{\"result\":\"ok\"}",
        "{\"user\":\"ada\",\"records\":[{\"a\":1}]}",
        "{\"name\":\"x\",\"records\":[{\"a\":1}]}",
        "{\"records\":[{\"a\":1}],\"name\":\"x\"}",
        "{\"status\":\"done\",\"results\":[{\"a\":1}]}",
        "{\"total\":1,\"value\":[{\"a\":1}]}",
        "{\"hits\":3}",
        "{\"owner\":\"ada\",\"records\":[{\"a\":1}]}",
        "{\"logEvents\":[{\"a\":1}],\"user\":\"ada\"}",
    ] {
        assert_eq!(begins(text), None, "{text}");
    }
}

#[test]
fn what_follows_decides() {
    let text = b"{\"value\":[{\"k\":1},{\"k\":";
    assert_eq!(beginning(text, false), Some(Beginning::Open));
    assert_eq!(beginning(text, true), Some(Beginning::Objects(10)));
    let long = [&text[..], " ".repeat(ENOUGH_BYTES).as_bytes()].concat();
    assert_eq!(beginning(&long, false), Some(Beginning::Objects(10)));
}

#[test]
fn rows_have_the_names_of_their_columns() {
    let columns = ["TimeGenerated".to_owned(), "Type".to_owned()];
    for text in [
        "{\"tables\":[{\"name\":\"PrimaryResult\",\"columns\":[{\"name\":\"TimeGenerated\",\"type\":\"datetime\"},{\"name\":\"Type\",\"type\":\"string\"}],\"rows\":[[1]]}]}",
        "{\"Tables\":[{\"TableName\":\"Table_0\",\"Columns\":[{\"ColumnName\":\"TimeGenerated\",\"DataType\":\"DateTime\"},{\"ColumnName\":\"Type\"}],\"Rows\":[[1]]}]}",
        "{\"FrameType\":\"DataTable\",\"TableId\":1,\"TableKind\":\"PrimaryResult\",\"TableName\":\"PrimaryResult\",\"Columns\":[{\"ColumnName\":\"TimeGenerated\"},{\"ColumnName\":\"Type\"}],\"Rows\":[[1]]}]}",
        "{\"preview\":false,\"fields\":[\"TimeGenerated\",\"Type\"],\"rows\":[[1]]}]}",
    ] {
        let (rest, names) = begins(text).unwrap();
        assert_eq!(names, columns, "{text}");
        assert!(rest.starts_with("[1]]}"), "{text}");
    }
    for text in [
        "{\"FrameType\":\"DataSetHeader\",\"Version\":\"v2.0\"}",
        "{\"FrameType\":\"DataTable\",\"TableKind\":\"QueryProperties\",\"Columns\":[\"A\"],\"Rows\":[[1]]}",
        "{\"TableName\":\"Table_1\",\"Columns\":[\"A\"],\"Rows\":[[1]]}",
    ] {
        assert_eq!(begins(text), Some((text, vec!["nothing".to_owned()])), "{text}");
    }
}

#[test]
fn wrappers_are_replaced_by_their_fields() {
    let record = |text: &'static str| {
        let mut record = Record::new();
        json::read(text, &mut record).unwrap();
        record
    };
    let unwrapped = |text: &'static str| {
        let mut record = record(text);
        let wrapper = Wrapper::of(&[record.clone()]).unwrap();
        wrapper.unwrap(&mut record).unwrap();
        let fields: Vec<String> = record.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (fields.join(" "), wrapper.set_aside(&record))
    };
    let hit = "{\"_index\":\"i\",\"_type\":\"_doc\",\"_id\":\"1\",\"_score\":1,\"_source\":{\"a\":1}}";
    assert_eq!(unwrapped(hit), ("_index=i _id=1 a=1".to_owned(), None));
    let result = "{\"preview\":false,\"offset\":0,\"lastrow\":true,\"result\":{\"_raw\":\"x\"}}";
    assert_eq!(unwrapped(result), ("_raw=x".to_owned(), None));
    let preview = "{\"preview\":true,\"offset\":0,\"result\":{\"_raw\":\"x\"}}";
    assert_eq!(unwrapped(preview), ("preview=true _raw=x".to_owned(), Some("preview of results")));
    assert_eq!(
        Wrapper::SplunkResult.set_aside(&record("{\"preview\":false,\"lastrow\":true}")),
        Some("no result")
    );
    for text in [
        "{\"result\":{\"a\":1},\"user\":\"ada\"}",
        "{\"_source\":{\"a\":1}}",
        "{\"result\":\"ok\",\"preview\":false}",
    ] {
        assert_eq!(Wrapper::of(&[record(text)]), None, "{text}");
    }
}
