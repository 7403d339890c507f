//! The table DeviceFileEvents: documents, temporary files, downloads, and backups in their allowed folder.

use super::columns::{Count, OrdinaryRows, Text, table};
use super::rng::{Quantiles, SeededRng, scale};
use super::world::{BACKUP_ACCOUNT, BACKUP_DEVICE, FIRST_NAMES, Host, Role, World};

table! {
    /// A row of DeviceFileEvents.
    FileRow, FileColumns {
        time: "Timestamp",
        device: Text = "DeviceName",
        file_name: Text = "FileName",
        folder_path: Text = "FolderPath",
        action: Text = "ActionType",
        file_size: Count = "FileSize",
        account: Text = "InitiatingProcessAccountName",
        process_id: Count = "InitiatingProcessId",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "DeviceFileEvents";
const ACTIONS: [&str; 4] = ["FileCreated", "FileModified", "FileModified", "FileRenamed"];

/// Folder (with trailing separator) and file name, in which `{u}` stands for a user and `{n}` for a number.
type Template = (&'static str, &'static str);

// There are no archives in temp, staging or backup folders, so that each such file in the lake is planted.
const WINDOWS: [Template; 14] = [
    (r"C:\Users\{u}\Documents\", "report-{n}.docx"),
    (r"C:\Users\{u}\Documents\", "budget-{n}.xlsx"),
    (r"C:\Users\{u}\AppData\Local\Temp\", "~DF{n}.tmp"),
    (r"C:\Users\{u}\AppData\Local\Temp\", "cab_{n}.log"),
    (r"C:\Users\{u}\AppData\Local\Temp\", "archive-list-{n}.txt"),
    (r"C:\Users\{u}\AppData\Roaming\Microsoft\Templates\", "Normal-{n}.dotm"),
    (r"C:\Windows\Temp\", "msi{n}.tmp"),
    (r"C:\Users\{u}\AppData\Local\Google\Chrome\Default\Cache\", "f_{n}"),
    (r"C:\ProgramData\Corp\logs\", "agent-{n}.log"),
    (r"C:\src\web\target\", "library-{n}.dll"),
    (r"C:\Users\{u}\Pictures\", "photo-{n}.jpg"),
    (r"C:\Users\{u}\Downloads\", "setup-{n}.exe"),
    (r"C:\Users\{u}\Downloads\", "slides-{n}.zip"),
    (r"C:\Users\{u}\Downloads\", "drivers-{n}.7z"),
];
const LINUX: [Template; 7] = [
    ("/var/log/app/", "service-{n}.log"),
    ("/tmp/", "session-{n}.tmp"),
    ("/srv/web/uploads/", "image-{n}.png"),
    ("/var/lib/postgresql/base/", "{n}"),
    ("/home/{u}/", "notes-{n}.md"),
    ("/home/{u}/Downloads/", "src-{n}.tar.gz"),
    ("/var/backups/", "etc-{n}.tar.gz"),
];
const BACKUPS: [Template; 2] =
    [(r"C:\CompanyBackup\backup\", "nightly-{n}.zip"), (r"C:\CompanyBackup\staging\temp\", "delta-{n}.7z")];

struct Document {
    name: String,
    folder: String,
}

/// Files of ordinary rows.
pub struct Documents {
    windows: Vec<Document>,
    linux: Vec<Document>,
    backups: Vec<Document>,
    sizes: Quantiles,
}

impl Documents {
    /// The files for a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed, 0, "documents");
        Self {
            windows: expand(&WINDOWS, 250, &mut rng),
            linux: expand(&LINUX, 150, &mut rng),
            backups: expand(&BACKUPS, 60, &mut rng),
            sizes: Quantiles::log_normal(40_000.0, 2.0),
        }
    }
}

fn expand(templates: &[Template], times: usize, rng: &mut SeededRng) -> Vec<Document> {
    let mut documents = Vec::with_capacity(templates.len() * times);
    for _ in 0..times {
        for (folder, name) in templates {
            let name = name.replace("{n}", &rng.below(90_000).to_string());
            let folder = folder.replace("{u}", rng.pick::<&str>(&FIRST_NAMES));
            documents.push(Document { folder: format!("{folder}{name}"), name });
        }
    }
    documents
}

/// The ordinary rows of DeviceFileEvents for one day.
pub(crate) struct FileDay<'a> {
    pub world: &'a World,
    /// Hosts of planted attacks, which also have ordinary rows.
    pub victims: &'a [Host],
    pub documents: &'a Documents,
    pub rng: SeededRng,
    /// Midnight of the day, in microseconds since 1970 UTC.
    pub(crate) midnight_us: i64,
}

impl OrdinaryRows for FileDay<'_> {
    type Columns = FileColumns;

    fn push(&mut self, _number: u64, columns: &mut FileColumns) {
        let bits = self.rng.bits();
        let host = self.world.host_or(self.victims, bits as u32);
        let more = self.rng.bits();
        let is_backup = more & 0x7F == 0;
        let list = match host.role {
            _ if is_backup => &self.documents.backups,
            Role::LinuxServer => &self.documents.linux,
            _ => &self.documents.windows,
        };
        let document = &list[scale((more >> 32) as u32, list.len())];
        let account = match more >> 7 & 0x7F {
            _ if is_backup => Some(BACKUP_ACCOUNT),
            0 => None,
            1..30 => Some("system"),
            _ => Some(host.account.as_str()),
        };
        columns.push(&FileRow {
            time: self.midnight_us + self.world.working_day.at(self.rng.bits() as u32) as i64,
            device: Some(if is_backup { BACKUP_DEVICE } else { &host.name }),
            file_name: Some(document.name.as_str()),
            folder_path: Some(&document.folder),
            action: Some(ACTIONS[(more >> 14 & 3) as usize]),
            file_size: (more >> 16 & 0xFF != 0).then(|| self.documents.sizes.at((bits >> 32) as u32) as i64),
            account,
            process_id: Some(4 * (500 + (more >> 18 & 0x1FFF) as i64)),
        });
    }
}
