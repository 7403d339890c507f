//! Planted `compression_staging`: data packed into archives in a temporary or staging folder.

use super::super::files::FileRow;
use super::super::process::ProcessRow;
use super::super::truth::Attack;
use super::super::world::Role;
use super::{MINUTE_US, Planner, SECOND_US, text};

struct Case {
    id: &'static str,
    role: Role,
    parent: &'static str,
    file: &'static str,
    /// `{u}` becomes the account.
    command: &'static str,
    /// Folder of the archives, ending in its separator.
    folder: &'static str,
    /// `{n}` becomes the archive's number.
    archive: &'static str,
    archives: usize,
}

const CASES: [Case; 7] = [
    Case {
        id: "staging-7z-1-archive",
        role: Role::Workstation,
        parent: "cmd.exe",
        file: "7z.exe",
        command: r"7z.exe a -mhe C:\Users\{u}\AppData\Local\Temp\data.7z C:\Finance",
        folder: r"C:\Users\{u}\AppData\Local\Temp\",
        archive: "data.7z",
        archives: 1,
    },
    Case {
        id: "staging-rar-12-archives",
        role: Role::Workstation,
        parent: "cmd.exe",
        file: "rar.exe",
        command: r"rar.exe a -r -v100m C:\staging\hr.rar C:\Shares\HR",
        folder: r"C:\staging\",
        archive: "hr.part{n}.rar",
        archives: 12,
    },
    Case {
        id: "staging-compress-archive-2-archives",
        role: Role::WindowsServer,
        parent: "winword.exe",
        file: "powershell.exe",
        command: r"powershell.exe -NoProfile -Command Compress-Archive -Path D:\Legal -DestinationPath C:\staging\legal.zip",
        folder: r"C:\staging\",
        archive: "legal{n}.zip",
        archives: 2,
    },
    Case {
        id: "staging-compress-archive-60-archives",
        role: Role::WindowsServer,
        parent: "wsmprovhost.exe",
        file: "powershell.exe",
        command: r"powershell.exe -Command Get-ChildItem D:\Projects | % { Compress-Archive $_ C:\backup\$_.zip }",
        folder: r"C:\backup\",
        archive: "project-{n}.zip",
        archives: 60,
    },
    Case {
        id: "staging-tar-1-archive",
        role: Role::LinuxServer,
        parent: "bash",
        file: "tar",
        command: "tar -czf /srv/temp/crm.tar.gz /srv/crm",
        folder: "/srv/temp/",
        archive: "crm.tar.gz",
        archives: 1,
    },
    Case {
        id: "staging-zip-5-archives",
        role: Role::LinuxServer,
        parent: "bash",
        file: "zip",
        command: "zip -r -s 500m /home/{u}/temp/db.zip /var/lib/postgresql",
        folder: "/home/{u}/temp/",
        archive: "db-{n}.zip",
        archives: 5,
    },
    Case {
        id: "staging-tar-no-archive-seen",
        role: Role::LinuxServer,
        parent: "sh",
        file: "tar",
        command: "tar -czf /tmp/home.tar.gz /home",
        folder: "/tmp/",
        archive: "home.tar.gz",
        archives: 0,
    },
];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, case) in CASES.iter().enumerate() {
        let host = planner.endpoint(case.role);
        let account = host.account.as_str();
        let command_line = case.command.replace("{u}", account);
        let time = planner.moment_of_turn(turn as i64, MINUTE_US * 30);
        let process_id = Some(planner.process_id());
        let intensity = format!("{} archives within 20 minutes", case.archives);
        let mut attack = Attack::new(case.id, "compression_staging", &intensity, "T1560.001")
            .entity("device_name", &host.name)
            .entity("account_name", account)
            .entity("command_line", &command_line);
        let process = ProcessRow {
            time,
            device: text(&host.name),
            account: text(account),
            command_line: Some(command_line),
            process_id,
            parent_file_name: text(case.parent),
            file_name: text(case.file),
            action: text("ProcessCreated"),
        };
        planner.add_process(&mut attack, process);
        for archive in 0..case.archives {
            let name = case.archive.replace("{n}", &format!("{:02}", archive + 1));
            let folder = case.folder.replace("{u}", account);
            let row = FileRow {
                time: time + planner.dice.between(5 * SECOND_US, 20 * MINUTE_US),
                device: text(&host.name),
                folder_path: Some(format!("{folder}{name}")),
                file_name: Some(name),
                action: text("FileCreated"),
                file_size: Some(planner.dice.between(20_000_000, 100_000_000)),
                account: text(account),
                process_id,
            };
            planner.add_file(&mut attack, row);
        }
        planner.finish(attack);
    }
}
