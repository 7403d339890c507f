//! Planted `compression_staging`: data packed into archives in a temporary or staging folder.

use super::super::files::FileRow;
use super::super::process::ProcessRow;
use super::super::truth::Attack;
use super::super::world::{Host, Role};
use super::{MINUTE_US, Planner, SECOND_US, text};

/// A way of packing data.
pub(super) struct Packing {
    pub(super) id: &'static str,
    pub(super) parent: &'static str,
    pub(super) file: &'static str,
    /// `{u}` stands for the account.
    pub(super) command: &'static str,
    /// Folder of the archives, with trailing separator.
    pub(super) folder: &'static str,
    /// `{n}` stands for the archive's number.
    pub(super) archive: &'static str,
    pub(super) archives: usize,
}

const CASES: [(Role, Packing); 7] = [
    (
        Role::Workstation,
        Packing {
            id: "staging-7z-1-archive",
            parent: "cmd.exe",
            file: "7z.exe",
            command: r"7z.exe a -mhe C:\Users\{u}\AppData\Local\Temp\data.7z C:\Finance",
            folder: r"C:\Users\{u}\AppData\Local\Temp\",
            archive: "data.7z",
            archives: 1,
        },
    ),
    (
        Role::Workstation,
        Packing {
            id: "staging-rar-12-archives",
            parent: "cmd.exe",
            file: "rar.exe",
            command: r"rar.exe a -r -v100m C:\staging\hr.rar C:\Shares\HR",
            folder: r"C:\staging\",
            archive: "hr.part{n}.rar",
            archives: 12,
        },
    ),
    (
        Role::WindowsServer,
        Packing {
            id: "staging-compress-archive-2-archives",
            parent: "winword.exe",
            file: "powershell.exe",
            command: r"powershell.exe -NoProfile -Command Compress-Archive -Path D:\Legal -DestinationPath C:\staging\legal.zip",
            folder: r"C:\staging\",
            archive: "legal{n}.zip",
            archives: 2,
        },
    ),
    (
        Role::WindowsServer,
        Packing {
            id: "staging-compress-archive-60-archives",
            parent: "wsmprovhost.exe",
            file: "powershell.exe",
            command: r"powershell.exe -Command Get-ChildItem D:\Projects | % { Compress-Archive $_ C:\backup\$_.zip }",
            folder: r"C:\backup\",
            archive: "project-{n}.zip",
            archives: 60,
        },
    ),
    (
        Role::LinuxServer,
        Packing {
            id: "staging-tar-1-archive",
            parent: "bash",
            file: "tar",
            command: "tar -czf /srv/temp/crm.tar.gz /srv/crm",
            folder: "/srv/temp/",
            archive: "crm.tar.gz",
            archives: 1,
        },
    ),
    (
        Role::LinuxServer,
        Packing {
            id: "staging-zip-5-archives",
            parent: "bash",
            file: "zip",
            command: "zip -r -s 500m /home/{u}/temp/db.zip /var/lib/postgresql",
            folder: "/home/{u}/temp/",
            archive: "db-{n}.zip",
            archives: 5,
        },
    ),
    (
        Role::LinuxServer,
        Packing {
            id: "staging-tar-no-archive-seen",
            parent: "sh",
            file: "tar",
            command: "tar -czf /tmp/home.tar.gz /home",
            folder: "/tmp/",
            archive: "home.tar.gz",
            archives: 0,
        },
    ),
];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, (role, packing)) in CASES.iter().enumerate() {
        let host = planner.endpoint(*role);
        let time = planner.moment_of_turn(turn as i64, MINUTE_US * 30);
        let attack = pack(planner, &host, time, packing);
        planner.finish(attack);
    }
}

/// Packs data on `host` from `time_us` on, within 20 minutes.
pub(super) fn pack(planner: &mut Planner, host: &Host, time_us: i64, packing: &Packing) -> Attack {
    let account = host.account.as_str();
    let command_line = packing.command.replace("{u}", account);
    let process_id = Some(planner.process_id());
    let intensity = format!("{} archives within 20 minutes", packing.archives);
    let mut attack = Attack::new(packing.id, "compression_staging", &intensity, "T1560.001")
        .entity("device_name", &host.name)
        .entity("account_name", account)
        .entity("command_line", &command_line);
    let process = ProcessRow {
        time: time_us,
        device: text(&host.name),
        account: text(account),
        command_line: Some(command_line),
        process_id,
        parent_file_name: text(packing.parent),
        file_name: text(packing.file),
        action: text("ProcessCreated"),
    };
    planner.add_process(&mut attack.planted, process);
    for archive in 0..packing.archives {
        let name = packing.archive.replace("{n}", &format!("{:02}", archive + 1));
        let folder = packing.folder.replace("{u}", account);
        let row = FileRow {
            time: time_us + planner.rng.between(5 * SECOND_US, 20 * MINUTE_US),
            device: text(&host.name),
            folder_path: Some(format!("{folder}{name}")),
            file_name: Some(name),
            action: text("FileCreated"),
            file_size: Some(planner.rng.between(20_000_000, 100_000_000)),
            account: text(account),
            process_id,
        };
        planner.add_file(&mut attack.planted, row);
    }
    attack
}
