//! `hindcast tables`: list, show, save and delete tables of a lake.

use serde_json::Value;

use crate::support::{Place, hindcast, stderr, stdout};

fn tables(place: &Place, arguments: &str) -> std::process::Output {
    hindcast(&format!("tables --lake {} {arguments}", place.lake().display()))
}

#[test]
fn enriched_rows_are_saved_read_back_and_deleted() {
    let place = Place::with_demo("--days 3 --rows-per-day 3000 --seed 2");
    std::fs::rename(place.lake().join("CommonSecurityLog/date=2026-01-07"), place.path("later"))
        .expect("moved");
    let listed = stdout(&tables(&place, ""));
    assert!(listed.contains("CommonSecurityLog") && listed.contains("(2 dates)"), "{listed}");

    for name in ["Investigation", "_SPRK", "../Escape_SPRK", "a b_SPRK"] {
        let output = hindcast_save(&place, name);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("_SPRK"));
    }
    let saved = hindcast_save(&place, "PaloAlto_Investigation_SPRK");
    assert!(saved.status.success(), "{}", stderr(&saved));
    let shown: Value =
        serde_json::from_str(&stdout(&tables(&place, "show PaloAlto_Investigation_SPRK --json")))
            .expect("JSON");
    let dates = shown["dates"].as_array().expect("dates");
    let rows: u64 = dates.iter().filter_map(|date| date["rows"].as_u64()).sum();
    assert!(stdout(&saved).contains(&format!("the table now has {rows} rows")), "{}", stdout(&saved));
    let columns: Vec<&str> = shown["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .filter_map(|column| column["name"].as_str())
        .collect();
    assert!(
        columns.contains(&"TotalBytes") && columns.contains(&"IsExternal") && columns.len() == 25,
        "{columns:?}"
    );

    // Saved again the table has the same rows; saved day by day it has all rows.
    assert!(
        stdout(&hindcast_save(&place, "PaloAlto_Investigation_SPRK"))
            .contains(&format!("the table now has {rows} rows"))
    );
    let by_days = ["--from 2026-01-05 --to 2026-01-06", "--from 2026-01-06 --to 2026-01-07"]
        .map(|window| tables(&place, &format!("save ByDay_SPRK {window}")));
    assert!(
        stdout(&by_days[1]).contains(&format!("the table now has {rows} rows")),
        "{}",
        stdout(&by_days[1])
    );

    // One more date makes the window longer and duplicates no row.
    std::fs::rename(place.path("later"), place.lake().join("CommonSecurityLog/date=2026-01-07"))
        .expect("moved");
    let in_table = |name: &str| {
        let printed = stdout(&hindcast_save(&place, name));
        let (_, count) = printed.split_once("the table now has ").expect("a count");
        count.split(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a number")
    };
    let grown = in_table("PaloAlto_Investigation_SPRK");
    assert!(grown > rows && grown == in_table("Fresh_SPRK"), "{rows}, then {grown}");

    let refused = tables(&place, "delete ByDay_SPRK");
    assert_eq!(refused.status.code(), Some(2));
    assert!(place.lake().join("ByDay_SPRK").exists());
    assert!(tables(&place, "delete ByDay_SPRK --yes").status.success());
    assert!(!place.lake().join("ByDay_SPRK").exists());
    assert_eq!(tables(&place, "show ByDay_SPRK").status.code(), Some(2));
}

fn hindcast_save(place: &Place, name: &str) -> std::process::Output {
    let lake = place.lake().display().to_string();
    crate::support::run(&["tables", "--lake", &lake, "save", name])
}
