//! The files of users' own detections, rollups and tables, by path: the content of a folder, and of a request.

use std::collections::BTreeMap;

use hindcast_base::file_fault::FileFault;
use hindcast_base::{Error, Result};
use hindcast_detections::Detections;
use hindcast_detections::config::Config;
use hindcast_lake::Tables;

/// Files of all detections of a run at most.
pub(super) const MAX_FILES: usize = 1_000;
/// Bytes of a file at most.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// The folders of rollups and tables, next to those of detections.
const ROLLUPS: &str = "rollups";
const TABLES: &str = "tables";

/// Texts by path: `<id>/detection.toml`, `<id>/query.sql`, `rollups/<id>.toml`, `tables/<Name>.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnFiles {
    files: BTreeMap<String, OwnFile>,
    /// Whether they replace built-in ones of the same id instead of being refused.
    is_replacing: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnFile {
    text: String,
    /// Where it was read, for error messages.
    place: String,
}

impl OwnFiles {
    /// Adds a file that was read at `place`. The same text under the same path counts once.
    ///
    /// # Errors
    /// [`Error::Invalid`] if another text has its path, the file is too long, or there are too many.
    pub fn add(&mut self, path: &str, text: String, place: &str) -> Result<()> {
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::Invalid(format!("{place} is longer than {MAX_FILE_BYTES} bytes")));
        }
        if let Some(known) = self.files.get(path) {
            if known.text == text {
                return Ok(());
            }
            return Err(Error::Invalid(format!(
                "two detections have the file {path} with different texts: {} and {place}",
                known.place
            )));
        }
        if self.files.len() == MAX_FILES {
            return Err(Error::Invalid(format!(
                "there are more than {MAX_FILES} files of detections: {place}"
            )));
        }
        self.files.insert(path.to_owned(), OwnFile { text, place: place.to_owned() });
        Ok(())
    }

    /// These files and those of `others`.
    ///
    /// # Errors
    /// As [`OwnFiles::add`].
    pub fn joined(mut self, others: &Self) -> Result<Self> {
        self.is_replacing |= others.is_replacing;
        for (path, file) in &others.files {
            self.add(path, file.text.clone(), &file.place)?;
        }
        Ok(self)
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The built-in detections and these.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file and line of the error.
    pub fn load(&self) -> Result<Detections> {
        if self.is_empty() {
            return Ok(Detections::built_in());
        }
        let files = self.files.iter().map(|(path, file)| (path.clone(), file.text.clone())).collect();
        let loaded =
            if self.is_replacing { Detections::replacing(files) } else { Detections::with_own(files) };
        loaded.map_err(|error| self.at_place(error))
    }

    /// The built-in tables and those among these files.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file and line of the error.
    pub fn tables(&self) -> Result<Tables> {
        let own = self.files.iter().filter(|(path, _)| folder_of(path) == TABLES);
        let own: Vec<(&str, &str)> = own.map(|(path, file)| (path.as_str(), file.text.as_str())).collect();
        Tables::with_own(&own).map_err(|error| self.at_place(error))
    }

    /// Ids of the detections among them.
    pub fn detections(&self) -> Vec<&str> {
        let mut ids: Vec<&str> =
            self.files.keys().map(|path| folder_of(path)).filter(|folder| !is_shared(folder)).collect();
        ids.dedup();
        ids
    }

    /// The files of these detections, and all rollups and tables.
    pub fn of_detections(&self, ids: &[&str]) -> Self {
        let is_theirs = |(path, _): &(&String, &OwnFile)| {
            let folder = folder_of(path);
            is_shared(folder) || ids.contains(&folder)
        };
        let files = self.files.iter().filter(is_theirs);
        Self {
            files: files.map(|(path, file)| (path.clone(), file.clone())).collect(),
            is_replacing: self.is_replacing,
        }
    }

    /// These files, but replacing built-in ones of the same id: for commands that write no results.
    #[must_use]
    pub fn replacing(self) -> Self {
        Self { is_replacing: true, ..self }
    }

    /// Where the file of a path was read; the path itself if it is built in.
    pub fn place_of<'a>(&'a self, path: &'a str) -> &'a str {
        self.files.get(path).map_or(path, |file| &file.place)
    }

    /// Checks the SQL of these detections with the parameters of a run.
    ///
    /// # Errors
    /// As [`OwnFiles::load`].
    pub fn check(&self, config: &Config) -> Result<()> {
        config.detections.check_own(config).map_err(|error| self.at_place(error))
    }

    /// Replaces the path in an error of the loader with the place where the file was read.
    pub fn at_place(&self, error: Error) -> Error {
        let Error::File(fault) = error else { return error };
        let place = self.files.get(&fault.file).map(|file| file.place.clone());
        Error::File(FileFault { file: place.unwrap_or(fault.file), ..fault })
    }

    /// The files in the form of a request: JSON, texts by path; empty if there are none.
    ///
    /// # Errors
    /// [`Error::Internal`] if they can't be written as JSON.
    pub fn to_request(&self) -> Result<String> {
        if self.is_empty() {
            return Ok(String::new());
        }
        let texts: BTreeMap<&str, &str> =
            self.files.iter().map(|(path, file)| (path.as_str(), file.text.as_str())).collect();
        serde_json::to_string(&texts).map_err(|error| Error::Internal(error.to_string()))
    }

    /// The files in a request.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the text is not one of [`OwnFiles::to_request`], or exceeds the limits.
    pub(crate) fn of_request(text: &str) -> Result<Self> {
        let mut files = Self::default();
        if text.is_empty() {
            return Ok(files);
        }
        let texts: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
            Error::Invalid(format!("the request's detections are not texts by path: {error}"))
        })?;
        for (path, text) in texts {
            files.add(&path, text, &path)?;
        }
        Ok(files)
    }
}

/// The folder of a file: a detection's id, or that of rollups or tables.
fn folder_of(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// Whether a folder holds what all detections may use.
fn is_shared(folder: &str) -> bool {
    [ROLLUPS, TABLES].contains(&folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str, &str)]) -> Result<OwnFiles> {
        let mut all = OwnFiles::default();
        files.iter().try_for_each(|(path, text, place)| all.add(path, (*text).into(), place)).map(|()| all)
    }

    #[test]
    fn the_same_file_counts_once_and_another_of_its_path_is_refused_with_both_places() {
        let once = of(&[("a/query.sql", "SELECT 1", "/x/a/query.sql")]).unwrap();
        let twice =
            once.clone().joined(&of(&[("a/query.sql", "SELECT 1", "/y/a/query.sql")]).unwrap()).unwrap();
        assert_eq!(once, twice);
        let other = of(&[("a/query.sql", "SELECT 2", "/y/a/query.sql")]).unwrap();
        let error = once.joined(&other).unwrap_err().to_string();
        assert!(error.contains("/x/a/query.sql") && error.contains("/y/a/query.sql"), "{error}");
    }

    #[test]
    fn a_request_carries_texts_by_path() {
        let files = of(&[("a/query.sql", "SELECT '\u{e9}'", "a/query.sql")]).unwrap();
        assert_eq!(OwnFiles::of_request(&files.to_request().unwrap()).unwrap(), files);
        assert_eq!(OwnFiles::default().to_request().unwrap(), "");
        assert!(OwnFiles::of_request("").unwrap().is_empty());
        assert!(OwnFiles::of_request("[1]").is_err());
    }

    #[test]
    fn tables_are_read_without_the_detections() {
        let text = "time_column = 'T'\n[columns]\nT = 'time'";
        let broken = ("mine/detection.toml", "no TOML", "/x/mine/detection.toml");
        let files = of(&[("tables/Proxy_CL.toml", text, "/x/tables/Proxy_CL.toml"), broken]).unwrap();
        assert!(files.tables().unwrap().by_name("Proxy_CL").is_some());
        assert_eq!(files.detections(), ["mine"]);
        let wrong = of(&[("tables/Proxy_CL.toml", "columns = 1", "/x/tables/Proxy_CL.toml")]).unwrap();
        let error = wrong.tables().unwrap_err().to_string();
        assert!(error.starts_with("/x/tables/Proxy_CL.toml: "), "{error}");
        assert_eq!(wrong.of_detections(&[]), wrong, "all detections may use a table");
    }

    #[test]
    fn files_are_bounded_in_length_and_number() {
        let long = "x".repeat(MAX_FILE_BYTES as usize + 1);
        assert!(of(&[("a/query.sql", &long, "long.sql")]).unwrap_err().to_string().contains("long.sql"));
        let mut files = OwnFiles::default();
        for index in 0..MAX_FILES {
            files.add(&format!("a/{index}.sql"), String::new(), "x").unwrap();
        }
        let error = files.add("a/more.sql", String::new(), "more.sql").unwrap_err().to_string();
        assert!(error.contains("more than 1000 files") && error.contains("more.sql"), "{error}");
    }
}
