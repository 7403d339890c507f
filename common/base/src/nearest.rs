//! Suggests the known name that a misspelt name was probably meant to be.

/// Similarity (Jaro-Winkler, 0 to 1) from which a name is near another. Typing errors and names that lack a word are above 0.8:
/// `beconing` and `beaconing` have 0.97, `rsk` and `risk` 0.93, `dns` and `dns_tunneling` 0.83. Names that share letters by
/// chance are mostly below 0.75: `sinks` and `risk` have 0.63, `error` and `network` 0.68.
const MIN_SIMILARITY: f64 = 0.8;

/// The name in `known` that is most similar to `wanted`, even if it is not near: for a choice among a few, such as the columns
/// of a file that lacks one. `None` if `known` is empty.
pub fn closest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    closest_with_similarity(wanted, known).map(|(_, name)| name)
}

/// The name in `known` that is most similar to `wanted` (Jaro-Winkler over lower-cased letters and digits, the first of
/// equals); `None` if no name is near it.
fn near<N: AsRef<str>>(wanted: &str, known: impl Iterator<Item = N>) -> Option<N> {
    let closest = closest_with_similarity(wanted, known);
    closest.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).map(|(_, name)| name)
}

fn closest_with_similarity<N: AsRef<str>>(wanted: &str, known: impl Iterator<Item = N>) -> Option<(f64, N)> {
    let wanted = plain(wanted);
    let mut best: Option<(f64, N)> = None;
    for name in known {
        let similarity = strsim::jaro_winkler(&plain(name.as_ref()), &wanted);
        if best.as_ref().is_none_or(|(most, _)| similarity > *most) {
            best = Some((similarity, name));
        }
    }
    best
}

/// The `count` names in `known` that are most similar to `wanted` as they are written, the most similar first, then by name. Names
/// that are not near it are left out.
pub fn most_similar(wanted: &str, known: impl Iterator<Item = String>, count: usize) -> Vec<String> {
    let similar = known.map(|name| (strsim::jaro_winkler(&name, wanted), name));
    let mut similar: Vec<(f64, String)> =
        similar.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).collect();
    similar.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    similar.into_iter().take(count).map(|(_, name)| name).collect()
}

/// `; did you mean <nearest name>?`, or an empty text if no name is near.
///
/// ```
/// use hindcast_base::nearest::did_you_mean;
///
/// let known = ["beaconing", "dns_tunneling"];
/// assert_eq!(did_you_mean("beconing", known.into_iter()), "; did you mean beaconing?");
/// assert_eq!(did_you_mean("zzz", known.into_iter()), "");
/// ```
pub fn did_you_mean<N: AsRef<str>>(wanted: &str, known: impl Iterator<Item = N>) -> String {
    near(wanted, known).map(|name| format!("; did you mean {}?", name.as_ref())).unwrap_or_default()
}

/// Whether two names differ only in case, separators and the order of their words: `SourceIP`, `source_ip`, `ip-source`.
pub fn is_same_name(left: &str, right: &str) -> bool {
    plain(left) == plain(right) || words(left) == words(right)
}

fn plain(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name in alphabetical order, with the usual short forms of source and destination written out.
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
    // `ip` and `address`, or `port` and `number`, mean the same.
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
    fn names_are_the_same_in_any_notation() {
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
    fn the_nearest_name_is_the_most_similar() {
        assert_eq!(near("beconing", ["storage_audit", "beaconing"].into_iter()), Some("beaconing"));
        assert_eq!(near("TimeGenerated", ["sourceip", "timegenerated"].into_iter()), Some("timegenerated"));
        assert_eq!(near("x", std::iter::empty::<&str>()), None);
    }

    #[test]
    fn the_most_similar_names_come_first_and_distant_ones_not_at_all() {
        let known = || ["ws-12", "srv-1", "ws-2", "ws-1"].into_iter().map(str::to_owned);
        assert_eq!(most_similar("ws-1", known(), 2), ["ws-1", "ws-12"]);
        assert_eq!(most_similar("printer", known(), 2), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_is_not_similar_to_any_is_near_none() {
        let known = || ["network", "risk", "score", "beaconing", "dns_tunneling"].into_iter();
        for (wanted, hint) in [
            ("error", ""),
            ("sinks", ""),
            ("schedule", ""),
            ("rsk", "; did you mean risk?"),
            ("dns", "; did you mean dns_tunneling?"),
        ] {
            assert_eq!(did_you_mean(wanted, known()), hint, "{wanted}");
            assert!(closest(wanted, known()).is_some());
        }
    }
}
