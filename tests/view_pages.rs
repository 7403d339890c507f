//! `hindcast view`: pages of a finished scan of a lake with markup in every text that users choose.

use serde_json::json;

use crate::page_client::{View, ask, get};
use crate::support::{Place, hindcast, row, stderr};

const MARKUP: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// A scanned demo lake with rows that contain markup.
fn scanned() -> Place {
    let place = Place::with_demo("--days 1 --rows-per-day 3000 --seed 3");
    let time = json!("2026-01-05T10:00:00Z");
    place.write_rows(
        "DeviceProcessEvents",
        "2026-01-05",
        "markup.parquet",
        &[row([
            ("Timestamp", time.clone()),
            ("DeviceName", json!(format!("ws {MARKUP}"))),
            ("InitiatingProcessAccountName", json!(format!("eve {MARKUP}"))),
            ("ProcessCommandLine", json!(format!("rclone copy {MARKUP} r:b"))),
            ("InitiatingProcessId", json!(7)),
        ])],
    );
    place.write_rows(
        "DeviceNetworkEvents",
        "2026-01-05",
        "markup.parquet",
        &[row([
            ("Timestamp", time.clone()),
            ("DeviceName", json!(format!("ws {MARKUP}"))),
            ("InitiatingProcessId", json!(7)),
            ("RemoteUrl", json!(format!("https://loot.blob.core.windows.net/{MARKUP}"))),
            ("BytesSent", json!(900)),
        ])],
    );
    place.write_rows(
        "AuditLogs",
        "2026-01-05",
        "markup.parquet",
        &[row([
            ("TimeGenerated", time),
            ("OperationName", json!(format!("ListKeys {MARKUP}"))),
            ("InitiatedBy", json!(format!("eve {MARKUP}"))),
            ("TargetResources", json!(MARKUP)),
            ("ResultDescription", json!(MARKUP)),
        ])],
    );
    place.scan_well("");
    place
}

/// The pages a page links to.
fn links(body: &str) -> Vec<String> {
    let hrefs = body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    hrefs
        .map(|href| href.replace("&#38;", "&").replace("&amp;", "&"))
        .filter(|href| href.starts_with('/'))
        .collect()
}

#[test]
fn every_page_exists_is_escaped_and_requests_nothing_external() {
    let place = scanned();
    let view = View::start(&place.out(), &[]);
    let mut seen = std::collections::BTreeSet::new();
    let mut open = vec!["/".to_owned()];
    let mut with_markup = 0;
    while let Some(path) = open.pop() {
        if seen.len() > 150 || !seen.insert(path.clone()) {
            continue;
        }
        let answer = view.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(!answer.header("content-security-policy").is_empty(), "{path}");
        for bad in ["<img", "<script>", "onerror=alert(2)>", "style=\"", "javascript:"] {
            assert!(!answer.body.to_lowercase().contains(bad), "{bad} is in {path}");
        }
        for outside in ["src=\"http", "href=\"http", "src=\"//", "href=\"//"] {
            assert!(!answer.body.contains(outside), "{outside} is in {path}");
        }
        with_markup +=
            usize::from(answer.body.contains("&#60;script&#62;") || answer.body.contains("&lt;script"));
        open.extend(links(&answer.body));
    }
    assert!(seen.len() > 30 && with_markup >= 5, "{} pages, {with_markup} with markup", seen.len());
    for page in ["/findings", "/incidents", "/entities", "/coverage"] {
        assert!(seen.contains(page), "{page} was not linked");
    }
}

#[test]
fn findings_are_searched_sorted_and_opened() {
    let place = scanned();
    let findings = place.findings();
    let view = View::start(&place.out(), &[]);
    let all = view.get("/findings");
    assert!(all.body.contains(&format!("of {} findings", findings.len())), "{}", all.body);
    assert!(all.header("server-timing").starts_with("search;dur="), "{}", all.head);

    let of_suite = |suite: &str| findings.iter().filter(|finding| finding["suite"] == suite).count();
    let firewall = view.get("/findings?q=suite%3Afirewall+sort%3A-confidence");
    assert!(firewall.body.contains(&format!("of {} findings", of_suite("firewall"))), "{}", firewall.body);
    assert!(firewall.body.contains("aria-sort=\"descending\""));
    let markup = view.get("/findings?q=user%3Aeve*+-analysis%3Astorage_audit");
    assert!(markup.body.contains("1 to 1 of 1 finding<"), "{}", markup.body);
    assert!(view.get("/findings?q=no-such-text-anywhere").body.contains("No finding matches"));
    let wrong = view.get("/findings?q=sevrity%3Ahigh");
    assert!(wrong.body.contains("did you mean severity?") && wrong.status == 200, "{}", wrong.body);
    // The query is shown as text.
    let searched = view.get("/findings?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%22");
    assert!(!searched.body.contains("<script>"), "{}", searched.body);

    let id = findings[0]["id"].as_str().expect("an id");
    let one = view.get(&format!("/findings/{id}"));
    assert!(one.body.contains("Evidence") && one.body.contains(id), "{}", one.body);
    assert_eq!(view.get("/findings/nothing").status, 404);
}

#[test]
fn any_form_of_an_entitys_name_shows_its_findings() {
    let place = scanned();
    let entities = std::fs::read_to_string(place.out().join("entities.jsonl")).expect("entities");
    let first: serde_json::Value =
        entities.lines().map(|line| serde_json::from_str(line).expect("JSON")).next().expect("an entity");
    let (kind, name) = (first["kind"].as_str().expect("a kind"), first["name"].as_str().expect("a name"));
    let view = View::start(&place.out(), &[]);
    for form in [name.to_owned(), name.to_uppercase()] {
        let page = view.get(&format!("/entity?kind={kind}&name={form}"));
        assert!(page.body.contains(&format!("risk {} of 100", first["score"])), "{}", page.body);
        assert!(page.body.contains("Contributions to the risk"));
    }
    assert_eq!(view.get("/entity?kind=user&name=nobody-at-all").status, 404);
    assert_eq!(view.get("/entity?kind=planet&name=mars").status, 404);
}

#[test]
fn two_runs_are_compared() {
    let place = scanned();
    let earlier = place.path("earlier");
    std::fs::rename(place.out(), &earlier).expect("moved");
    place.scan_well("--suite firewall");
    let view = View::start(&place.out(), &["--against", &earlier.display().to_string()]);
    let page = view.get("/compare");
    assert!(page.body.contains("gone</h2>") && page.body.contains("it was not requested"), "{}", page.body);
    assert!(!page.body.contains("<script>alert"));
    assert_eq!(View::start(&place.out(), &[]).get("/compare").status, 404);
}

#[test]
fn pages_are_local_and_their_headers_are_strict() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    place.scan_well("");
    let out = place.out().display().to_string();
    let refused = hindcast(&format!("view {out} --no-open --listen 0.0.0.0:0"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--insecure"), "{}", stderr(&refused));
    let none = hindcast(&format!("view {} --no-open", place.lake().display()));
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("not a scan result"), "{}", stderr(&none));

    let view = View::start(&place.out(), &[]);
    let page = view.get("/");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "same-origin");
    assert_eq!(page.header("cache-control"), "no-store");
    for (name, kind) in
        [("web.css", "text/css"), ("web.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
    {
        let asset = view.get(&format!("/assets/{name}"));
        assert!(asset.status == 200 && asset.header("content-type").starts_with(kind), "{}", asset.head);
    }
    assert_eq!(view.get("/assets/..%2F..%2Fmain.rs").status, 404);
    // A foreign name that resolves to this machine's address.
    let elsewhere = ask(view.port, "GET", "/", &[("Host", "elsewhere.example")], "");
    assert_eq!(elsewhere.status, 403);
    assert_eq!(ask(view.port, "GET", "/", &[("Host", "localhost:80")], "").status, 200);
    // `view` has no jobs, and nothing can be changed.
    assert_eq!(get(view.port, "/jobs").status, 404);
    assert!(ask(view.port, "POST", "/", &[("Origin", "http://elsewhere.example")], "").status == 403);
}
