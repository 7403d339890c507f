//! Tests that every form of a time is read with its meaning, or is not a time.

use hindcast_base::Error;
use hindcast_base::time::{format_micros, parse_time};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use hindcast_base::log_time::{DateOrder, Zone, header_time};

use super::{Assumed, Evidence, TimeError, TimeOptions, Times, Value};

fn value(text: &str) -> Value<'_> {
    Value { field: "t", text, is_utc: false, record_zone: None }
}

/// Times of a file whose values of field `t` are these.
fn times(options: &TimeOptions, texts: &[&str]) -> Times {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let inner_options = options.clone();
    let gather = move || {
        let times = Times::without_proof(inner_options.clone());
        let mut evidence = Evidence::default();
        for (line, text) in (1..).zip(&texts) {
            times.gather(value(text), line, None, true, &mut evidence);
        }
        Ok(evidence)
    };
    Times::new(options.clone(), parse_time("2026-11-30T06:00:00Z").unwrap(), Box::new(gather))
}

fn read_with(options: &TimeOptions, text: &str) -> Result<String, TimeError> {
    let read = times(options, &[text]).read(value(text), || None);
    read.map(|reading| format_micros(reading.micros))
}

/// The instant that a file with only this text gives.
fn read(text: &str) -> Option<String> {
    read_with(&TimeOptions::default(), text).ok()
}

#[test]
fn unambiguous_forms_are_read() {
    for (text, wanted) in [
        ("05/Mar/2026:06:40:13", "2026-03-05T06:40:13Z"),
        ("05/Mar/2026:06:40:13 +0100", "2026-03-05T05:40:13Z"),
        ("Mar 05 2026 06:40:13.988 GMT", "2026-03-05T06:40:13.988Z"),
        ("Mar 05 2026 06:40:13.988 +0100", "2026-03-05T05:40:13.988Z"),
        ("Mar  5 2026 06:40:13", "2026-03-05T06:40:13Z"),
        ("Mar 05 2026 06:40:13.000 +01:00", "2026-03-05T05:40:13Z"),
        ("Mar 05 2026 06:40:13 CET", "2026-03-05T05:40:13Z"),
        ("2026-03-05 06:40:13 CET", "2026-03-05T05:40:13Z"),
        ("20260305064013", "2026-03-05T06:40:13Z"),
        ("Thu Mar  5 06:40:13 2026", "2026-03-05T06:40:13Z"),
        ("2026-03-05", "2026-03-05T00:00:00Z"),
        ("1772692813988", "2026-03-05T06:40:13.988Z"),
        ("1772692813988000000", "2026-03-05T06:40:13.988Z"),
        ("1772692813.988", "2026-03-05T06:40:13.988Z"),
        ("1772692813", "2026-03-05T06:40:13Z"),
        ("1772692813988000.5", "2026-03-05T06:40:13.988Z"),
        ("134171664139880000", "2026-03-05T06:40:13.988Z"),
        ("639082896139880000", "2026-03-05T06:40:13.988Z"),
        ("637552227260000000", "2021-04-28T16:05:26Z"),
        ("1772692813,988", "2026-03-05T06:40:13.988Z"),
        ("1772692813988.25", "2026-03-05T06:40:13.988250Z"),
        ("46086.27793", "2026-03-05T06:40:13Z"),
        ("46086,2779280093", "2026-03-05T06:40:12.980Z"),
        ("\u{200e}Mar\u{200e} 5, 2026 at 6:40:13\u{202f}AM", "2026-03-05T06:40:13Z"),
        ("2026-03-05T06:40:13.123456789Z", "2026-03-05T06:40:13.123456Z"),
        ("2026-03-05T06:40:13+01", "2026-03-05T05:40:13Z"),
        ("20260305T064013Z", "2026-03-05T06:40:13Z"),
        ("2026-03-05 06:40:13,988", "2026-03-05T06:40:13.988Z"),
        ("2026-03-05t06:40:13z", "2026-03-05T06:40:13Z"),
        ("2026-03-05T06:40:13.988[Europe/Berlin]", "2026-03-05T05:40:13.988Z"),
        ("2026-03-05 06:40:13 +0100", "2026-03-05T05:40:13Z"),
        ("2026-03-05 06:40:13.000 UTC", "2026-03-05T06:40:13Z"),
        ("Mar 5, 2026 6:40:13\u{202f}AM", "2026-03-05T06:40:13Z"),
        ("Mar 5, 2026 6:40:13.321 PM", "2026-03-05T18:40:13.321Z"),
        ("/Date(1772692813000+0100)/", "2026-03-05T06:40:13Z"),
        (" 2026-03-05T06:40:13Z ", "2026-03-05T06:40:13Z"),
        ("Thu, 05 Mar 2026 06:40:13 GMT", "2026-03-05T06:40:13Z"),
        ("2026/03/05T06:40:13Z", "2026-03-05T06:40:13Z"),
        ("2026/03/05 06:40:13+01:00", "2026-03-05T05:40:13Z"),
        ("2026-03-05 06:40:13 UTC+1", "2026-03-05T05:40:13Z"),
        ("13/03/2026, 3:40:13.988 pm", "2026-03-13T15:40:13.988Z"),
        ("3/13/2026 6:40 AM", "2026-03-13T06:40:00Z"),
        ("13.03.2026 06:40:13", "2026-03-13T06:40:13Z"),
        ("03/03/2026 18:41:25", "2026-03-03T18:41:25Z"),
        ("Jan 05 08:00:04", "2026-01-05T08:00:04Z"),
        ("Dec 24 08:00:04.5 CET", "2025-12-24T07:00:04.500Z"),
        ("Mon Dec 25 08:00:04", "2023-12-25T08:00:04Z"),
    ] {
        assert_eq!(read(text).as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn ambiguous_forms_are_not_times() {
    for text in [
        "",
        "0",
        "-1",
        "yesterday",
        "1601-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "99999999999999999999",
        "1.2.3",
        // 12 digits, an exponent, a number between ticks and nanoseconds, and numbers that count from some start.
        "177269281398",
        "1.772692813E9",
        "700000000000000000",
        "46086",
        "46086278",
        "20260305",
        "Mar 05 2026 06:40:13 PST",
        "Mar 05 2026 06:40:13 CST",
        "Mon, 05 Mar 2026 06:40:13 GMT",
        "31/11/2026",
        "05/03/26 06:40:13",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn dates_in_an_unproven_order_fail_the_file() {
    for text in ["3/5/2026, 6:40:13 AM", "05.03.2026 06:40:13", "03-05-2026 06:40:13", "3/5/2026"] {
        let times = times(&TimeOptions::default(), &[text]);
        assert!(times.check().is_ok());
        assert_eq!(times.read(value(text), || None), Err(TimeError::Undecided), "{text}");
        assert!(matches!(times.check(), Err(Error::Invalid(reason)) if reason.contains("--dates day-first")));
    }
    let with = |dates| TimeOptions { dates: Some(dates), ..TimeOptions::default() };
    let day_first = |text| read_with(&with(DateOrder::DayFirst), text);
    let month_first = |text| read_with(&with(DateOrder::MonthFirst), text);
    assert_eq!(day_first("05.03.2026 06:40:13"), Ok("2026-03-05T06:40:13Z".to_owned()));
    assert_eq!(month_first("3/5/2026"), Ok("2026-03-05T00:00:00Z".to_owned()));
    assert_eq!(month_first("13/3/2026"), Err(TimeError::NotInOrder(DateOrder::MonthFirst)));
}

#[test]
fn the_zone_comes_from_text_then_record_then_user() {
    let berlin = TimeOptions { zone: Zone::parse("Europe/Berlin").unwrap(), ..TimeOptions::default() };
    let read = |text, record_zone, is_utc| {
        let value = Value { field: "t", text, is_utc, record_zone };
        times(&berlin, &[]).read(value, || None).map(|reading| format_micros(reading.micros))
    };
    let is = |utc: &str| Ok(utc.to_owned());
    assert_eq!(read("Jan 05 2026 08:00:00", None, false), is("2026-01-05T07:00:00Z"));
    assert_eq!(read("Jan 05 2026 08:00:00", Some("America/New_York"), false), is("2026-01-05T13:00:00Z"));
    assert_eq!(read("Jan 05 2026 08:00:00 UTC", Some("America/New_York"), false), is("2026-01-05T08:00:00Z"));
    assert_eq!(read("2026-01-05T08:00:00", Some("America/New_York"), true), is("2026-01-05T08:00:00Z"));
    assert_eq!(read("1767600000", Some("America/New_York"), false), is("2026-01-05T08:00:00Z"));
    assert_eq!(read("2026-01-05T08:00:00", Some("+05:30"), false), is("2026-01-05T02:30:00Z"));
    assert_eq!(
        read("2026-01-05T08:00:00", Some("Hauptstadt"), false),
        Err(TimeError::UnknownZone("Hauptstadt".to_owned()))
    );
    assert_eq!(read("2026-03-29 02:30:00", None, false), Err(TimeError::Skipped(berlin.zone)));
    assert_eq!(read("2026-10-25 02:30:00", None, false), is("2026-10-25T00:30:00Z"));
}

#[test]
fn a_missing_year_comes_from_record_or_file() {
    let near = Some(parse_time("2021-01-01T00:00:05Z").unwrap());
    let read = |options: &TimeOptions, near| {
        let read = times(options, &[]).read(value("Dec 31 23:59:58"), || near).unwrap();
        (format_micros(read.micros), read.assumed)
    };
    let none = TimeOptions::default();
    assert_eq!(read(&none, near), ("2020-12-31T23:59:58Z".to_owned(), None));
    assert_eq!(read(&none, None), ("2025-12-31T23:59:58Z".to_owned(), Some(Assumed::Year(2025))));
    let before = TimeOptions { logged_before_us: near, ..none };
    assert_eq!(read(&before, None), ("2020-12-31T23:59:58Z".to_owned(), Some(Assumed::Year(2020))));
}

#[test]
fn another_time_of_the_record_proves_the_order() {
    let dated = Some(parse_time("2026-01-05T08:00:01Z").unwrap());
    let times = times(&TimeOptions::default(), &[]);
    let mut evidence = Evidence::default();
    assert!(times.gather(value("5/01/2026 8:00:01 AM"), 2, dated, true, &mut evidence));
    assert_eq!(evidence.decide().unwrap().orders["t"], DateOrder::DayFirst);
}

#[test]
fn numbers_count_from_the_start_that_is_given_or_proven() {
    let epoch_us = Some(parse_time("2026-03-05T06:40:00Z").unwrap());
    let capture = TimeOptions { epoch_us, ..TimeOptions::default() };
    for (text, wanted) in [
        ("0", "2026-03-05T06:40:00Z"),
        ("0.000000", "2026-03-05T06:40:00Z"),
        ("13.988123456", "2026-03-05T06:40:13.988123Z"),
        ("46086.278", "2026-03-05T19:28:06.278Z"),
        ("1772692813", "2026-03-05T06:40:13Z"),
    ] {
        assert_eq!(read_with(&capture, text).as_deref(), Ok(wanted), "{text}");
    }
    for text in ["/Date(0)/", "177269281398"] {
        assert_eq!(read_with(&capture, text), Err(TimeError::NoTime), "{text}");
    }
    // Without a start, numbers are days of a spreadsheet if all numbers of the field are such days, up to the last one
    // that the file can have, and some have a fraction.
    let of = |texts: &[&str], text| times(&TimeOptions::default(), texts).read(value(text), || None);
    let day = of(&["46086.5", "46087"], "46087").unwrap();
    assert_eq!(
        (format_micros(day.micros).as_str(), day.assumed),
        ("2026-03-06T00:00:00Z", Some(Assumed::Days))
    );
    for others in ["0.5", "1772692813.5", "47000.5", "120.5"] {
        assert_eq!(of(&["46086.5", others], "46086.5"), Err(TimeError::Counted), "{others}");
    }
    assert!(TimeError::Counted.reason("7").contains("--epoch"));
    let berlin = TimeOptions { zone: Zone::parse("Europe/Berlin").unwrap(), ..TimeOptions::default() };
    assert_eq!(read_with(&berlin, "46086.5").as_deref(), Ok("2026-03-05T11:00:00Z"));
    assert_eq!(read_with(&berlin, "639082896130000000").as_deref(), Ok("2026-03-05T05:40:13Z"));
}

/// Dates of a year, and the order in which a file writes them.
fn files() -> impl Strategy<Value = (Vec<(u32, u32)>, bool, u64)> {
    (proptest::collection::vec((1..=28_u32, 1..=12_u32), 1..12), any::<bool>(), any::<u64>())
}

/// Random texts from the parts of times.
fn scraps() -> impl Strategy<Value = String> {
    let pieces = [
        "5",
        "13",
        "2026",
        "05",
        "06:40",
        "Mar",
        "Sept",
        "Thu",
        "T",
        "Z",
        "PM",
        "CET",
        "UTC+1",
        "+01:00",
        "+",
        "-",
        "/",
        ".",
        ",",
        ":",
        " ",
        "[Europe/Berlin]",
        "[",
        "(",
        ")",
        "/Date(",
        "\u{e9}",
        "\u{202f}",
        "99999999999999999999",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Parsing never panics, and every parsed time is in the accepted range.
    #[test]
    fn any_text_is_parsed_or_refused(text in scraps()) {
        let read = times(&TimeOptions::default(), &[&text]).read(value(&text), || None);
        let _ = header_time(&text);
        let years = parse_time("1990-01-01").unwrap()..parse_time("2200-01-01").unwrap();
        prop_assert!(read.is_err() || years.contains(&read.unwrap().micros), "{text}");
    }

    /// For any order of rows, and any first date, all dates of a file are read as written, or none is.
    #[test]
    fn no_date_is_read_as_another((days, is_day_first, seed) in files()) {
        let text = |(day, month): &(u32, u32)| match is_day_first {
            true => format!("{day}/{month}/2026 10:00"),
            false => format!("{month}/{day}/2026 10:00"),
        };
        let texts: Vec<String> = days.iter().map(text).collect();
        let mut shuffled: Vec<usize> = (0..days.len()).collect();
        shuffled.sort_by_key(|index| (*index as u64 + 1).wrapping_mul(seed | 1));
        let in_rows: Vec<&str> = texts.iter().map(String::as_str).collect();
        let moved: Vec<&str> = shuffled.iter().map(|index| texts[*index].as_str()).collect();
        let of_rows = times(&TimeOptions::default(), &in_rows);
        let of_moved = times(&TimeOptions::default(), &moved);
        let is_proven = days.iter().any(|(day, _)| *day > 12);
        let is_open = days.iter().any(|(day, month)| day != month);
        for index in shuffled {
            let (day, month) = days[index];
            let read = of_rows.read(value(&texts[index]), || None);
            prop_assert_eq!(&read, &of_moved.read(value(&texts[index]), || None));
            match read {
                Ok(reading) => prop_assert_eq!(
                    format_micros(reading.micros),
                    format!("2026-{month:02}-{day:02}T10:00:00Z")
                ),
                Err(unread) => {
                    prop_assert_eq!(unread, TimeError::Undecided);
                    prop_assert!(is_open && !is_proven);
                }
            }
        }
        if is_open {
            prop_assert_eq!(of_rows.check().is_ok(), is_proven);
        }
    }
}
