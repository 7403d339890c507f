//! The result folder of a scan. It is written under a temporary name next to its target and renamed at the end.

mod asim;
mod escape;
#[cfg(test)]
pub mod example;
mod findings_file;
mod json;
mod navigator;
mod ocsf;
mod report;
mod risks;
mod stix;
mod tables;
mod timesketch;
mod unwritten;
mod workbook;

use std::fs;
use std::path::{Path, PathBuf};

use hindcast_base::{Error, Result};

pub(crate) use findings_file::write_lines;
pub use findings_file::{findings_batch, findings_of_batches};
pub use report::GuidePart;
pub use tables::write_batch;
pub use unwritten::{Unwritten, check_written};

use hindcast_scan::ScanResult;

/// A format of result tables, findings and incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `tables/<analysis>.parquet`
    Parquet,
    /// `tables/<analysis>.csv`, `findings.csv` and `incidents.csv`
    Csv,
    /// `tables/<analysis>.json`, an array of objects
    Json,
    /// `tables/<analysis>.jsonl`, one object per line
    Jsonl,
    /// `tables.xlsx`, with a sheet for findings, incidents and each table
    Xlsx,
    /// `findings.jsonl` as OCSF Detection Findings, and `incidents.ocsf.jsonl`
    Ocsf,
    /// `navigator.json`, a layer for the ATT&CK Navigator
    Navigator,
    /// `timesketch.jsonl`, a timeline
    Timesketch,
    /// `asim_alert_event.jsonl`, for Microsoft Sentinel
    Asim,
    /// `stix.json`, a STIX 2.1 bundle
    Stix,
    /// `report.html`, the whole result on one page
    Html,
}

/// Which files are written, and how.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// The formats.
    pub formats: &'a [Format],
    /// Whether CSV cells that a spreadsheet would evaluate as formulas are escaped.
    pub escapes_formulas: bool,
}

/// A file that a format adds to the tables.
struct Export {
    format: Format,
    file: &'static str,
    bytes: fn(&ScanResult, Choice<'_>) -> Result<Vec<u8>>,
}

const EXPORTS: [Export; 9] = [
    Export { format: Format::Html, file: "report.html", bytes: |result, _| report::page(result) },
    Export { format: Format::Csv, file: "findings.csv", bytes: findings_file::findings_csv },
    Export { format: Format::Csv, file: "incidents.csv", bytes: findings_file::incidents_csv },
    Export { format: Format::Xlsx, file: "tables.xlsx", bytes: |result, _| workbook::workbook(result) },
    Export {
        format: Format::Ocsf,
        file: "incidents.ocsf.jsonl",
        bytes: |result, _| ocsf::incident_findings(result),
    },
    Export { format: Format::Navigator, file: "navigator.json", bytes: |result, _| navigator::layer(result) },
    Export {
        format: Format::Timesketch,
        file: "timesketch.jsonl",
        bytes: |result, _| timesketch::events(result),
    },
    Export {
        format: Format::Asim,
        file: "asim_alert_event.jsonl",
        bytes: |result, _| asim::alert_events(result),
    },
    Export { format: Format::Stix, file: "stix.json", bytes: |result, _| stix::bundle(result) },
];

impl Export {
    fn write(&self, result: &ScanResult, choice: Choice<'_>, folder: &Path) -> Result<(), Unwritten> {
        unwritten::whole_or_none(&folder.join(self.file), self.file, |path| {
            let bytes = (self.bytes)(result, choice)?;
            fs::write(path, bytes).map_err(Error::io(format!("writing {}", path.display())))
        })
    }
}

/// A result folder that is being written. If it is dropped before [`OutputFolder::publish`], nothing remains of it.
pub struct OutputFolder {
    target: PathBuf,
    draft: tempfile::TempDir,
}

impl OutputFolder {
    /// Makes the draft in the parent folder of `target`, so that the rename stays on one file system.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `target` exists and is not the result of a scan.
    pub fn create(target: &Path) -> Result<Self> {
        check_replaceable(target)?;
        let target =
            std::path::absolute(target).map_err(Error::io(format!("resolving {}", target.display())))?;
        let parent = target.parent().unwrap_or(Path::new("/")).to_owned();
        fs::create_dir_all(&parent).map_err(Error::io(format!("creating {}", parent.display())))?;
        let draft = tempfile::Builder::new()
            .prefix(".hindcast-out-")
            .tempdir_in(&parent)
            .map_err(Error::io(format!("creating a folder in {}", parent.display())))?;
        Ok(Self { target, draft })
    }

    /// The path of the draft.
    pub fn path(&self) -> &Path {
        self.draft.path()
    }

    /// Writes all files of `result`. Returns the exports that failed: a failed export affects only its own file.
    ///
    /// # Errors
    /// [`Error::Io`] if a file that every result has can't be written.
    pub fn write(&self, result: &ScanResult, choice: Choice<'_>) -> Result<Vec<Unwritten>> {
        let summary = &result.report.summary;
        let folder = self.draft.path();
        let tables = folder.join("tables");
        fs::create_dir(&tables).map_err(Error::io(format!("creating {}", tables.display())))?;
        let write_tables =
            || result.tables.iter().flat_map(|table| tables::write(table, &tables, choice)).collect();
        let write_exports = || {
            let chosen = EXPORTS.iter().filter(|export| choice.formats.contains(&export.format));
            chosen.filter_map(|export| export.write(result, choice, folder).err()).collect()
        };
        let unwritten = std::thread::scope(|scope| {
            let findings = scope
                .spawn(|| findings_file::write(&result.findings, folder, choice.formats, &summary.version));
            let exports = scope.spawn(write_exports);
            let mut unwritten: Vec<Unwritten> = write_tables();
            let stopped = || Error::Internal("writing results stopped".into());
            unwritten.extend::<Vec<Unwritten>>(exports.join().map_err(|_| stopped())?);
            findings.join().unwrap_or_else(|_| Err(stopped())).map(|()| unwritten)
        })?;
        findings_file::write_lines(&result.suppressed, &folder.join("suppressed.jsonl"))?;
        findings_file::write_lines(&result.report.incidents, &folder.join("incidents.jsonl"))?;
        findings_file::write_lines(&result.report.entities, &folder.join("entities.jsonl"))?;
        write_json(&folder.join("parameters.json"), &result.report.parameters)?;
        write_json(&folder.join("summary.json"), summary)?;
        Ok(unwritten)
    }

    /// Renames the folder to its target and replaces an earlier result.
    ///
    /// # Errors
    /// [`Error::Io`] if the rename fails. The earlier result then still exists.
    pub fn publish(self) -> Result<PathBuf> {
        let failed = |path: &Path| Error::io(format!("replacing {}", path.display()));
        let draft = self.draft.keep();
        // Temporary folders are readable by their owner alone. A result gets the permissions of an ordinary folder.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).map_err(failed(&draft))?;
        }
        if self.target.exists() {
            let retired = draft.with_extension("retired");
            fs::rename(&self.target, &retired).map_err(failed(&self.target))?;
            fs::rename(&draft, &self.target).map_err(failed(&self.target))?;
            fs::remove_dir_all(&retired).map_err(failed(&retired))?;
        } else {
            fs::rename(&draft, &self.target).map_err(failed(&self.target))?;
        }
        Ok(self.target)
    }
}

/// Checks that `target` is absent, empty or the result of a scan.
///
/// # Errors
/// [`Error::Invalid`] otherwise.
pub fn check_replaceable(target: &Path) -> Result<()> {
    if !target.exists() || target.join("summary.json").is_file() {
        return Ok(());
    }
    let is_empty = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{} exists and is not the result of a scan: choose another --out",
        target.display()
    )))
}

/// Writes a value as JSON for people and scripts.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    fs::write(path, json::pretty(value)?).map_err(Error::io(format!("writing {}", path.display())))
}
