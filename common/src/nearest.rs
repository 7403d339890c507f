//! Which known name a name was probably meant to be.

/// The name of `known` that is most like `wanted` (Jaro-Winkler over lower-cased letters and digits, the first of equals); none where
/// there is none to choose from.
pub fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(wanted);
    let mut best: Option<(f64, &str)> = None;
    for name in known {
        let likeness = strsim::jaro_winkler(&plain(name), &wanted);
        if best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Whether two names differ in nothing but case, separators and the order of their words: `SourceIP`, `source_ip`, `ip-source`.
pub fn is_same_name(left: &str, right: &str) -> bool {
    plain(left) == plain(right) || words(left) == words(right)
}

fn plain(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name in order of the alphabet, with the usual short forms of source and destination written out.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let is_break = !character.is_alphanumeric() || (was_lower && character.is_uppercase());
        was_lower = character.is_lowercase();
        if is_break {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    let whole = |word: String| match word.as_str() {
        "src" => "source".to_owned(),
        "dst" | "dest" => "destination".to_owned(),
        _ => word,
    };
    let mut words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).map(whole).collect();
    // What an address or a port is need not be said twice.
    let has = |words: &[String], name: &str| words.iter().any(|word| word == name);
    let (has_ip, has_port) = (has(&words, "ip"), has(&words, "port"));
    words.retain(|word| match word.as_str() {
        "addr" | "address" => !has_ip,
        "no" | "num" | "number" => !has_port,
        _ => true,
    });
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_whatever_their_writing() {
        for name in ["sourceip", "source_ip", "SOURCE-IP", "src_ip", "SrcIP", "ip_source"] {
            assert!(is_same_name("SourceIP", name), "{name}");
        }
        for name in ["SourcePort", "SourceUserID", "IP", ""] {
            assert!(!is_same_name("SourceIP", name), "{name}");
        }
        assert!(is_same_name("DestinationPort", "dst_port") && is_same_name("SentBytes", "bytes_sent"));
        assert!(is_same_name("SourceIP", "SrcIpAddr") && is_same_name("DestinationPort", "DstPortNumber"));
        assert!(!is_same_name("SourceIP", "SrcAddr"));
    }

    #[test]
    fn the_nearest_name_is_the_most_alike() {
        assert_eq!(nearest("beconing", ["storage_audit", "beaconing"].into_iter()), Some("beaconing"));
        assert_eq!(
            nearest("TimeGenerated", ["sourceip", "timegenerated"].into_iter()),
            Some("timegenerated")
        );
        assert_eq!(nearest("x", std::iter::empty()), None);
    }
}
