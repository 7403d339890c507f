//! Divides files into groups that are read together: the files of units.

use hindcast_lake::LakeFile;

/// Bytes of files that a unit reads: few enough to spread and retry units, enough that the keys of a date, which each of its units
/// groups and stores, are not stored many times. Units are part of the identity of cached state, so they do not depend on threads
/// or workers.
pub const UNIT_BYTES: u64 = 512 << 20;

/// Files of a unit, and whether the window cuts their rows.
pub type UnitFiles = (Vec<LakeFile>, bool);

/// Files in groups of about `most_bytes`, in order; a larger file is divided into ranges.
pub fn groups<'a>(files: impl IntoIterator<Item = &'a LakeFile>, most_bytes: u64) -> Vec<Vec<LakeFile>> {
    let mut groups: Vec<Vec<LakeFile>> = Vec::new();
    let mut open_bytes = most_bytes;
    for part in files.into_iter().flat_map(|file| ranges(file, most_bytes)) {
        let part_bytes = part.range.map_or(part.bytes, |(start, end)| end - start);
        if open_bytes + part_bytes > most_bytes || groups.is_empty() {
            groups.push(Vec::new());
            open_bytes = 0;
        }
        open_bytes += part_bytes;
        if let Some(group) = groups.last_mut() {
            group.push(part);
        }
    }
    groups
}

fn ranges(file: &LakeFile, most_bytes: u64) -> Vec<LakeFile> {
    let parts = file.bytes.div_ceil(most_bytes).max(1);
    if parts == 1 {
        return vec![file.clone()];
    }
    let bound = |part: u64| file.bytes * part / parts;
    let range = |part: u64| Some((bound(part), bound(part + 1)));
    (0..parts).map(|part| file.clone().with(|file| file.range = range(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64) -> LakeFile {
        LakeFile::new(path.into(), bytes, None)
    }

    #[test]
    fn small_files_share_a_unit_and_large_ones_are_cut() {
        let files = [file("a", 40 << 20), file("b", 20 << 20), file("c", 10 << 20), file("d", 150 << 20)];
        let cut = groups(&files, 64 << 20);
        let paths: Vec<Vec<&str>> =
            cut.iter().map(|group| group.iter().map(|f| f.path.as_str()).collect()).collect();
        assert_eq!(paths, [vec!["a", "b"], vec!["c", "d"], vec!["d"], vec!["d"]]);
        let covered: Vec<_> = cut.iter().flatten().filter_map(|f| f.range).collect();
        assert_eq!(covered.first().map(|r| r.0), Some(0));
        assert_eq!(covered.last().map(|r| r.1), Some(150 << 20));
        assert!(covered.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert!(groups(&[], 64 << 20).is_empty());
    }
}
