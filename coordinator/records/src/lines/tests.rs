//! Tests that messages become fields, in each format.

use super::*;

/// The fields of a line, by the part `[lines]` of a source.
fn fields(lines: &str, text: &str) -> Result<Vec<String>, String> {
    let format: LineFormat = toml::from_str(lines).map_err(|error| error.to_string())?;
    let mut record = Record::new();
    format.read(text, &mut record)?;
    Ok(record.iter().map(|(name, value)| format!("{name}={value}")).collect())
}

#[test]
fn pairs_may_be_quoted_and_have_spaces() {
    let pairs = "format = \"pairs\"\nmatches = ['a=']";
    for (text, wanted) in [
        ("a=1 b=two words c=3", &["a=1", "b=two words", "c=3"][..]),
        (r#"<189>a="x y" b="say \"hi\" C:\\d \n" c="" d=e"#, &["a=x y", r#"b=say "hi" C:\d \n"#, "d=e"]),
        (r#"a="one"two three",b="4""#, &[r#"a=one"two three"#, "b=4"]),
        ("a=http://x/?q=1&r=2 b=c= d", &["a=http://x/?q=1&r=2", "b=c= d"]),
        (
            r#"Jan  5 08:00:00 fw a=1 b="cut of"#,
            &["SyslogTime=Jan  5 08:00:00", "SyslogHost=fw", "a=1", "b=cut of"],
        ),
        (r#"a="1" lost words b=2"#, &["a=1", "text=lost words", "b=2"]),
    ] {
        assert_eq!(fields(pairs, text).unwrap(), wanted, "{text}");
    }
    let brackets = "format = \"pairs\"\nmatches = ['\\[']\nassign = \":\"\ndelimiter = \";\"";
    let text =
        r#"<134>1 2026-01-05T08:00:00Z cp CheckPoint 1 - [action:"Accept"; ifdir:"in; \"x\""; xlate:1.2]"#;
    assert_eq!(fields(brackets, text).unwrap()[2..], ["action=Accept", "ifdir=in; \"x\"", "xlate=1.2]"]);
    let bars = "format = \"pairs\"\nmatches = ['time=']\ndelimiter = \"|\"";
    assert_eq!(fields(bars, "time=1|a=b c|d=|e=f=g").unwrap(), ["time=1", "a=b c", "e=f=g"]);
}

#[test]
fn leef_has_the_delimiter_that_it_states_or_uses() {
    let leef = "format = \"leef\"\nmatches = ['LEEF:']";
    let header =
        ["LEEFVersion=2.0", "DeviceVendor=V", "DeviceProduct=P", "DeviceVersion=1", "DeviceEventClassID=e"];
    for text in [
        "LEEF:2.0|V|P|1|e|^|src=10.1.1.5^msg=a b^x=1=2",
        "LEEF:2.0|V|P|1|e|x5E|src=10.1.1.5^msg=a b^x=1=2",
        "LEEF:2.0|V|P|1|e|0x09|src=10.1.1.5\tmsg=a b\tx=1=2",
        "LEEF:2.0|V|P|1|e||src=10.1.1.5\tmsg=a b\tx=1=2",
        "LEEF:2.0|V|P|1|e|src=10.1.1.5\tmsg=a b\tx=1=2\tempty=",
        "LEEF:2.0|V|P|1|e|src=10.1.1.5#011msg=a b#011x=1=2",
        "LEEF:2.0|V|P|1|e|src=10.1.1.5 msg=a b x=1=2",
    ] {
        let found = fields(leef, text).unwrap();
        assert_eq!(
            (&found[..5], &found[5..]),
            (&header.map(str::to_owned)[..], &["src=10.1.1.5", "msg=a b", "x=1=2"].map(str::to_owned)[..]),
            "{text}"
        );
    }
    let bars = fields(
        leef,
        "<14>Jan  5 08:00:00 fw LEEF:1.0|V|P|1|e|cat=TRAFFIC|msg=a|b|URL=\"x|y\"|empty=\"\"|src=10.1.1.5|",
    )
    .unwrap();
    assert_eq!(bars[7..], ["cat=TRAFFIC", "msg=a|b", "URL=x|y", "src=10.1.1.5"]);
    assert!(fields(leef, "LEEF:1.0|V|P").unwrap_err().contains("five header fields"));
}

#[test]
fn the_values_of_cells_choose_their_names() {
    let cells = "format = \"cells\"\nmatches = ['\\d+,']\nby = [1, 2]\n[names]\n\"*\" = [\"n\"]\na = [\"n\", \"\", \"x\"]\n\"a b\" = [\"n\", \"\", \"\", \"y\"]";
    for (text, wanted) in [
        ("1,a,c,d", &["n=1", "x=c", "column_4=d"][..]),
        ("1,a,b,\"d, \"\"e\"\"\",f", &["n=1", "y=d, \"e\"", "column_5=f"]),
        ("1,a", &["n=1"]),
        ("1,z,,y", &["n=1", "column_2=z", "column_4=y"]),
        ("1,a,b,c \"d\",", &["n=1", "y=c \"d\""]),
    ] {
        assert_eq!(fields(cells, text).unwrap(), wanted, "{text}");
    }
    assert_eq!(fields(cells, "1,a,\"b").unwrap_err(), "has a quoted cell without an end");
    let strict = "format = \"cells\"\nmatches = ['\\d+,']\nby = [1]\n[names]\na = [\"n\"]";
    assert_eq!(fields(strict, "1,z").unwrap_err(), "is of the unknown kind \"z\"");
    let spaces = "format = \"cells\"\nmatches = ['\\d+\\.']\ndelimiter = \" \"\n[names]\n\"*\" = [\"ts\", \"ms\", \"who\"]";
    assert_eq!(
        fields(spaces, "1767600000.1    150 \"a b\"").unwrap(),
        ["ts=1767600000.1", "ms=150", "who=a b"]
    );
}

#[test]
fn the_first_pattern_that_matches_gives_the_fields() {
    let patterns = "format = \"patterns\"\nmatches = ['%X-']\npatterns = ['^%X-(?<id>1): (?<a>\\w+)(?: (?<b>\\w+))?$', '^%X-(?<id>\\d+)']";
    assert_eq!(fields(patterns, "<1>fw : %X-1: u v").unwrap(), ["id=1", "a=u", "b=v"]);
    assert_eq!(fields(patterns, "%X-1: u").unwrap(), ["id=1", "a=u"]);
    assert_eq!(fields(patterns, "%X-2: u").unwrap(), ["id=2"]);
    assert_eq!(fields(patterns, "%X-: u").unwrap_err(), "is in no form that the source knows");
    assert_eq!(fields(patterns, "other").unwrap_err(), "is not a message of the source");
}

#[test]
fn groups_of_where_a_message_begins_are_fields() {
    let pairs =
        "format = \"pairs\"\nmatches = ['%X-(?<id>\\d): (?<message>.*)']\nassign = \":\"\ndelimiter = \",\"";
    assert_eq!(
        fields(pairs, "<1>fw : %X-1: A B: x, y, C:: d: e, Agent: z (a, like b) c,").unwrap(),
        ["id=1", "A B=x, y", "C=: d: e", "Agent=z (a, like b) c"]
    );
    let aside = "format = \"aside\"\nmatches = ['(?<program>\\w+)\\[']";
    assert_eq!(fields(aside, "Jan  5 08:00:00 fw dhcpd[1]: x").unwrap()[2..], ["program=dhcpd"]);
}

#[test]
fn patterns_have_parts_with_an_argument() {
    let patterns = "format = \"patterns\"\nmatches = ['X']\npatterns = ['^X %{end:src} %{end:dst}']\n[parts]\nend = '(?<@>%{ip})/(?<@_port>\\d+)'\nip = '[\\d.]+'";
    let wanted = ["src=192.0.2.1", "src_port=5", "dst=192.0.2.2", "dst_port=53"];
    assert_eq!(fields(patterns, "X 192.0.2.1/5 192.0.2.2/53").unwrap(), wanted);
    for (parts, part) in [("end = '%{end}'", "contains itself"), ("x = ''", "there is no part \"end\"")] {
        let lines =
            format!("format = \"patterns\"\nmatches = ['X']\npatterns = ['%{{end}}']\n[parts]\n{parts}");
        let error = fields(&lines, "X").unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn expressions_of_built_in_sources_are_valid() {
    for source in Sources::for_tests().all() {
        let checked = source.lines.as_ref().map_or(Ok(()), |lines| lines.check());
        assert_eq!(checked, Ok(()), "{}", source.name);
    }
}

#[test]
fn mistakes_of_a_source_are_named() {
    for (lines, part) in [
        ("format = \"pairs\"", "missing field `matches`"),
        ("format = \"pairs\"\nmatches = ['(']", "unclosed group"),
        ("format = \"pairs\"\nmatches = []\ndelimiter = \"ä\"", "not ASCII"),
        ("format = \"leef\"\nmatches = []\nby = [1]", "unknown field `by`"),
        ("format = \"xml\"\nmatches = []", "unknown variant `xml`"),
    ] {
        let error = fields(lines, "").unwrap_err();
        assert!(error.contains(part), "{lines}: {error}");
    }
}
