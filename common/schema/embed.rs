//! Embeds data files of a crate, so that a new one is a file and no line of Rust. The build scripts of `schema` and `detections`
//! share this.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Writes `embedded.rs`: a static slice `FILES` with the name and text of each file in `folders` of the crate that has one of the
/// extensions, sorted by name.
///
/// # Errors
/// If a folder can't be read or the file not be written.
pub fn embed(folders: &[&str], extensions: &[&str]) -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for folder in folders {
        println!("cargo::rerun-if-changed={folder}");
        collect(&root.join(folder), extensions, &mut files)?;
    }
    files.sort();
    let mut text = String::from("pub(super) static FILES: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        text.push_str(&format!("    ({name:?}, include_str!({:?})),\n", file.display().to_string()));
    }
    text.push_str("];\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs"), text)
}

fn collect(folder: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, extensions, files)?;
        } else if path.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension)) {
            files.push(path);
        }
    }
    Ok(())
}
