//! How layers are read and override each other, and the errors for mistakes in them.

use super::*;

fn load_user(text: &str) -> Result<Config> {
    Config::load("default", &[Layer { name: "mine.toml", text }])
}

fn error_of(text: &str) -> String {
    load_user(text).unwrap_err().to_string()
}

#[test]
fn the_shared_sections_are_those_of_the_presets_and_the_struct() {
    let root =
        LakeRoot { name: "emea".into(), url: "/emea".into(), optional: false, tables: BTreeMap::new() };
    let written = serde_json::to_value(Config { roots: vec![root], ..Config::default() }).unwrap();
    let mut names: Vec<&String> = written.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, SHARED_SECTIONS);
    for text in [DEFAULT_PRESET, NOTEBOOK_PRESET] {
        let preset = parse_table(&Layer { name: "preset", text }).unwrap();
        assert!(preset.keys().all(|name| SHARED_SECTIONS.contains(&name.as_str())), "{preset:?}");
    }
}

#[test]
fn every_parameter_of_every_detection_has_a_value() {
    for preset in PRESETS {
        let config = Config::load(preset, &[]).unwrap();
        for analysis in Detections::built_in().all() {
            for name in analysis.about.parameters.keys() {
                let path = format!("{}.{name}", analysis.id);
                assert!(config.parameter(&path).is_some_and(|value| !value.is_null()), "{preset}: {path}");
            }
        }
    }
}

#[test]
fn a_source_of_a_column_replaces_the_one_below_it() {
    let section = "[tables.AuditLogs.columns]\n";
    let [lake, user] = [
        "OperationName = { column = 'op', values = { 1 = 'x' } }\nResultDescription = 'result'",
        "OperationName = { sql = 'lower(op)' }\nInitiatedBy = 'actor.user'",
    ]
    .map(|text| format!("{section}{text}"));
    let layers = [("lake", &lake), ("mine", &user)].map(|(name, text)| Layer { name, text });
    let columns = Config::load("default", &layers).unwrap().tables["AuditLogs"].columns.clone();
    let sources: Vec<String> = columns.values().map(ToString::to_string).collect();
    assert_eq!(sources, ["actor.user", "lower(op)", "result"]);
    let error = error_of(&format!("{section}OperationName = {{ sql = 'lowr(op)' }}"));
    assert!(error.contains("mine.toml") && error.contains("line 2") && error.contains("lowr"), "{error}");
}

#[test]
fn roots_are_in_the_order_of_their_names() {
    let config = load_user(
        "[[roots]]\nname = 'emea'\nurl = '/emea'\noptional = true\n[roots.tables.AuditLogs]\n\
         columns = { OperationName = 'op' }\n[[roots]]\nname = 'apac'\nurl = 's3://apac/lake'",
    )
    .unwrap();
    let names: Vec<&str> = config.roots.iter().map(|root| root.name.as_str()).collect();
    assert_eq!(names, ["apac", "emea"]);
    assert!(config.roots[1].optional && config.roots[1].tables.contains_key("AuditLogs"));
    for (text, hint) in [
        ("[[roots]]\nname = 'main'\nurl = '/x'", "main is the name of the lake's own root"),
        ("[[roots]]\nname = 'a b'\nurl = '/x'", "can't be the name of a root"),
        ("[[roots]]\nname = 'a'", "missing field `url`"),
        ("[[roots]]\nname = 'a'\nurl = '/x'\nplace = 1", "place"),
    ] {
        assert!(error_of(text).contains(hint), "{}", error_of(text));
    }
}

#[test]
fn a_lake_with_one_root_has_the_same_hash_as_before_there_were_several() {
    let written = serde_json::to_value(Config::load("default", &[]).unwrap()).unwrap();
    assert!(written.get("roots").is_none());
}

#[test]
fn every_kind_of_error_names_file_and_line() {
    for (text, expected) in [
        (
            "[beaconing]\nmax_jitter = 0.4\n[beconing]",
            "line 3: there is no section beconing; did you mean beaconing?",
        ),
        ("[firewal]\nvendor = 'x'", "line 1: there is no section firewal; did you mean firewall?"),
        ("beaconing = 3", "line 1: beaconing must be a section, [beaconing]"),
        (
            "[beaconing]\nmax_jitter = 0.4\nmax_jiter = 1",
            "line 3: there is no parameter beaconing.max_jiter; did you mean max_jitter?",
        ),
        ("[top_talkers]\nsize = 5", "line 2: there is no parameter top_talkers.size; top_talkers has limit"),
        ("[beaconing]\nmax_jitter = 'high'", "line 2: beaconing.max_jitter is 'high': it must be a number"),
        (
            "[beaconing]\n\nmin_intervals = 4.5",
            "line 3: beaconing.min_intervals is 4.5: it must be a whole number",
        ),
        (
            "[compression_staging]\nkeep_rows_without_identity = 1",
            "line 2: compression_staging.keep_rows_without_identity is 1: it must be true or false",
        ),
        (
            "[compression_staging]\nallowed_accounts = [\n'a',\n7]",
            "line 4: compression_staging.allowed_accounts[1] is 7: it must be a text",
        ),
        (
            "[compression_staging]\njoin_window = 60",
            "line 2: compression_staging.join_window is 60: it must be a length of time",
        ),
        (
            "[compression_staging]\njoin_window = 'soon'",
            "line 2: compression_staging.join_window: \"soon\" is not a length of time",
        ),
        (
            "[beaconing]\nmax_jitter = -1",
            "line 2: beaconing.max_jitter is -1: it must be above 0 and at most 100 (deviation over mean)",
        ),
        ("[beaconing]\nmax_jitter = 0.0", "line 2: beaconing.max_jitter is 0.0: it must be above 0"),
        ("[beaconing]\nmax_jitter = nan", "line 2: beaconing.max_jitter is nan: it must be above 0"),
        (
            "[top_talkers]\n# none\nlimit = 0",
            "line 3: top_talkers.limit is 0: it must be from 1 to 1000000000 rows",
        ),
        ("[event_timeline]\nbin_minutes = 0", "line 2: event_timeline.bin_minutes is 0"),
        (
            "[multi_location_users]\ntravel_window = '99999d'",
            "line 2: multi_location_users.travel_window is '99999d': it must be from 0s to 36500d, or unlimited",
        ),
        (
            "[egress_spikes]\nbaseline = 'last_row'",
            "line 2: egress_spikes.baseline is 'last_row': it must be one of seasonal, preceding_hours, last_rows; did you mean last_rows?",
        ),
        ("[risk]\nhigh = 1.0", "line 2: risk.high is 1.0: it must be at least 0 and below 1"),
        ("[risk]\nhihg = 0.5", "line 2"),
    ] {
        let error = error_of(text);
        assert!(error.contains("mine.toml") && error.contains(expected), "{error}");
    }
    assert!(Config::load("notebok", &[]).is_err());
    assert!(error_of("[beaconing\n").contains("mine.toml"));
}

#[test]
fn a_record_with_a_wrong_field_is_refused() {
    for (service, expected) in [
        ("{ name = 'poll', port = 9, factor = 1.5 }", "[0].factor is 1.5: it must be from 0 to 1 times"),
        (
            "{ name = 'a', port = 1, factor = 1 }, { name = 'b', port = 70000, factor = 1 }",
            "[1].port is 70000",
        ),
        ("{ name = 'poll', port = 9 }", "[0] lacks its field factor"),
        ("{ name = 'poll', port = 9, factr = 1 }", "[0] has no field factr; did you mean factor?"),
        ("{ name = 7, port = 9, factor = 1 }", "[0].name is 7: it must be a text"),
        ("9", "[0] is 9: it must be a table"),
    ] {
        let error = error_of(&format!("[beacon_scores]\nknown_services = [{service}]"));
        let expected = format!("mine.toml, line 2: beacon_scores.known_services{expected}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_pattern_that_does_not_compile_is_refused_where_it_stands() {
    let error = error_of("[storage_audit]\noperation_patterns = [\n'fine',\n'broken(',\n]");
    assert!(
        error.contains("mine.toml, line 4: pattern `broken(`: ") && error.contains("unclosed"),
        "{error}"
    );
    let error = error_of("[storage_audit]\noperation_patterns = [{ pattern = 'fine', hit = ['fine'] }]");
    assert!(error.contains("has no field hit; did you mean hits?"), "{error}");
    let error = error_of("[storage_audit]\noperation_patterns = ['\\w{1000}{1000}']");
    assert!(error.contains("mine.toml, line 2") && error.contains("size limit"), "{error}");
}

#[test]
fn a_pattern_that_disagrees_with_its_cases_is_refused_where_it_stands() {
    for (case, expected) in [
        ("hits = ['copy a b']", "pattern \"robocopy\" does not match \"copy a b\", which its hits name"),
        ("misses = ['ROBOCOPY a b']", "pattern \"robocopy\" matches \"ROBOCOPY a b\", which its misses name"),
    ] {
        let text = format!(
            "[compression_staging]\nallowed_commands = [\n'fine',\n{{ pattern = 'robocopy', {case} }},\n]"
        );
        let error = error_of(&text);
        assert!(error.contains("mine.toml, line 4: compression_staging.allowed_commands: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (text, expected) in [
        ("[risk]\nmedium_level = 80", "mine.toml: risk.medium_level is 80, above the 70 of risk.high_level"),
        ("[score]\nmedium = 30", "score.medium is 30, above the 20 of score.high"),
        (
            "[egress_spikes]\nmin_history = 25",
            "mine.toml: egress_spikes.min_history is 25, above the 24 of egress_spikes.hours: no hour would be a spike",
        ),
    ] {
        let error = error_of(text);
        assert!(error.contains(expected), "{error}");
    }
    load_user("[egress_spikes]\nmin_history = 25\nbaseline = 'last_rows'").unwrap();
}

#[test]
fn a_watchlist_of_an_unknown_analysis_is_refused_with_a_suggestion() {
    let list = "[[watchlists]]\nname = 'scanners'\nkind = 'ip'\neffect = 'allow'\nentries = ['192.0.2.7']";
    load_user(&format!("{list}\nanalyses = ['beaconing', 'beacon_scores']")).unwrap();
    let error = error_of(&format!("{list}\nanalyses = [\n'beaconing',\n'beacon_score']"));
    assert!(
        error.contains("mine.toml, line 8: watchlist scanners: there is no analysis \"beacon_score\"; did you mean beacon_scores?"),
        "{error}"
    );
}

#[test]
fn an_invalid_entry_is_reported_with_list_and_line() {
    let list = |kind: &str, entries: &str| {
        let head = format!("[[watchlists]]\nname = 'bad'\nkind = '{kind}'\neffect = 'raise'");
        format!("{head}\nentries = [\n{entries}\n]\n")
    };
    let good = "'192.0.2.7', '192.0.2.7:443',\n'198.51.100.0/24', '[2001:DB8::1]', '2001:db8::/32'";
    load_user(&list("ip", good)).unwrap();
    load_user(&list("device", "'not-an-ip'")).unwrap();
    for entry in ["not-an-ip", "192.0.2.300", "198.51.100.0/33", ""] {
        let text = format!("# {entry}\n{}", list("ip", &format!("'192.0.2.7',\n'{entry}',")));
        let error = error_of(&text);
        let expected =
            format!("mine.toml, line 8: watchlist bad: {entry:?} is neither an address nor a network");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_layer_changes_only_what_it_names() {
    let config =
        load_user("[compression_staging]\nallowed_accounts = ['svc-zip']\njoin_window = '30m'").unwrap();
    assert_eq!(config.texts("compression_staging.allowed_accounts"), ["svc-zip"]);
    assert_eq!(config.parameter("compression_staging.join_window"), Some("1800s".into()));
    assert!(!config.texts("compression_staging.command_patterns").is_empty());
    assert_ne!(config.hash().unwrap(), Config::load("default", &[]).unwrap().hash().unwrap());
}

#[test]
fn later_layers_win() {
    let layer = |name, text| Layer { name, text };
    let lake = layer("hindcast.toml", "[beaconing]\nmax_jitter = 1\nmin_intervals = 0x10\n[score]\ncap = 5");
    let own = layer("mine.toml", "[beaconing]\nmax_jitter = 0.25");
    let config = Config::load("notebook", &[lake, own]).unwrap();
    assert_eq!(config.number("beaconing.max_jitter"), 0.25);
    assert_eq!((config.integer("beaconing.min_intervals"), config.score.cap), (16, 5));
}

#[test]
fn presets_give_detections_their_values() {
    let config = Config::load("notebook", &[]).unwrap();
    assert_eq!(config.parameter("egress_spikes.baseline"), Some("last_rows".into()));
    assert_eq!(config.parameter("compression_staging.join_window"), Some("unlimited".into()));
    assert_eq!(config.integer("egress_spikes.hours"), 24);
}

#[test]
fn parameters_are_read_by_their_paths() {
    let config =
        load_user("[tables.AuditLogs]\nfolder_slack_days = 1\n[dns_tunneling]\nmax_average_bytes = 9")
            .unwrap();
    assert_eq!(config.texts("firewall.vendors"), ["Palo Alto Networks"]);
    assert_eq!(config.parameter("firewall.kind"), Some("DeviceEventClassID".into()));
    assert_eq!(config.parameter("firewall.outcome"), Some("SimplifiedDeviceAction".into()));
    assert_eq!(config.texts("office365.user_types"), ["Regular", "Admin"]);
    assert!(config.texts("network.private").contains(&"10.0.0.0/8".to_owned()));
    assert_eq!(config.integer("tables.AuditLogs.folder_slack_days"), 1);
    assert_eq!(config.parameter("dns_tunneling.max_average_bytes"), Some(9.0.into()));
    for path in ["beaconing", "beaconing.nothing", "nothing.at_all", "watchlists.0"] {
        assert_eq!(config.parameter(path), None, "{path}");
        assert_eq!((config.number(path), config.integer(path), config.texts(path).len()), (0.0, 0, 0));
    }
}

#[test]
fn a_configuration_reads_back_as_it_was_written() {
    let config =
        load_user("[beaconing]\nmax_jitter = 0.1\n[[watchlists]]\nname = 'w'\nkind = 'ip'\neffect = 'raise'")
            .unwrap();
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(written["beaconing"]["max_jitter"], 0.1);
    assert_eq!(written["firewall"]["vendors"][0], "Palo Alto Networks");
    assert!(written.get("detections").is_none() && written.get("parameters").is_none());
    let read: Config = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
    let read: Config = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(read.hash().unwrap(), config.hash().unwrap());
    assert_eq!(read.parameters, config.parameters);
}

#[test]
fn contradictions_between_layers_name_all_of_them() {
    let lake = Layer { name: "lake.toml", text: "[risk]\nhigh_level = 50" };
    let own = Layer { name: "mine.toml", text: "[risk]\nmedium_level = 60" };
    assert!(Config::load("default", &[lake]).is_ok() && Config::load("default", &[own]).is_ok());
    let error = Config::load("default", &[lake, own]).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "no single file is at fault: {error:?}");
    let expected = "lake.toml and mine.toml: risk.medium_level is 60, above the 50 of risk.high_level";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error_of("[save]\nsuffix = ''"), "mine.toml: save.suffix must not be empty");
}

#[test]
fn an_unknown_preset_is_refused_with_the_known_ones() {
    let error = Config::load("notebok", &[]).unwrap_err().to_string();
    assert_eq!(error, "unknown preset \"notebok\": there are default and notebook");
}

#[test]
fn a_layer_is_checked_by_itself() {
    let check = |text| Config::check_layer(&Layer { name: "mine.toml", text }, Detections::built_in());
    // Values that contradict the preset are found when the layers are combined.
    check("[risk]\nmedium_level = 80").unwrap();
    let error = check("\n[beaconing]\nmax_jiter = 1").unwrap_err().to_string();
    assert!(error.starts_with("mine.toml, line 3: there is no parameter beaconing.max_jiter"), "{error}");
}

#[test]
fn tasks_get_all_parameters_but_no_watchlist() {
    let config = load_user("[[watchlists]]\nname = 'w'\nkind = 'ip'\neffect = 'raise'").unwrap();
    let of_tasks = config.for_tasks();
    assert_eq!((config.watchlists.len(), of_tasks.watchlists.len()), (1, 0));
    assert_eq!(of_tasks.hash().unwrap(), Config::load("default", &[]).unwrap().hash().unwrap());
}

/// A configuration with an own detection that has this check.
fn with_check(holds: &str, message: &str) -> Result<Config> {
    let definition = format!(
        "version = 1\nsuite = 'firewall'\ntitle = 't'\nshows = 's'\nrollups = ['external_pairs']\n\
         [[columns]]\nname = 'source_ip'\ntype = 'text'\ndoc = 'd'\n[[checks]]\nholds = '{holds}'\n\
         message = '{message}'\n[parameters.low]\ntype = 'integer'\ndefault = 5\ndoc = 'd'\n\
         [parameters.span]\ntype = 'span'\ndefault = 'unlimited'\ndoc = 'd'\n"
    );
    let query = "SELECT source_ip FROM external_pairs";
    let files = [("mine/checked/detection.toml", definition.as_str()), ("mine/checked/query.sql", query)];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec();
    Config::load_with("default", &[], Detections::with_own(files)?)
}

#[test]
fn checks_of_detections_are_evaluated() {
    assert!(with_check("$low < 9", "unused").is_ok());
    assert!(with_check("$span < 9", "unused").is_ok(), "null, here of an unlimited duration, passes");
    let error = |holds, message| with_check(holds, message).unwrap_err().to_string();
    assert_eq!(error("$low > 9", "low is {{ low }}, too little"), "low is 5, too little");
    let unknown = error("$lowest > 9", "unused");
    assert!(
        unknown.starts_with("mine/checked/detection.toml, line 11: there is no parameter $lowest"),
        "{unknown}"
    );
    for message in
        ["{{ nothing }}", "{% for a in range(9999) %}{% for b in range(9999) %}.{% endfor %}{% endfor %}"]
    {
        let error = error("$low > 9", message);
        assert!(error.contains("line 11: the message of this check can't be rendered"), "{error}");
    }
}

#[test]
fn only_the_file_of_the_command_may_name_the_file_of_a_watchlist() {
    let error = error_of("[[watchlists]]\nname = 'w'\nkind = 'ip'\neffect = 'raise'\nfile = 'x.csv'");
    assert_eq!(
        error,
        "mine.toml: watchlist w: the file x.csv is not read here: only the file named by --config may name others"
    );
}
