//! Command lines of ordinary processes, generated from templates. A careless pattern takes many of them for staging.

use super::rng::SeededRng;

/// A process as in the endpoint table.
pub struct Command {
    pub line: String,
    pub parent: &'static str,
    pub file: &'static str,
}

/// Command lines of ordinary rows.
pub(crate) struct Commands {
    pub windows: Vec<Command>,
    pub linux: Vec<Command>,
    /// Harmless uses of storage tools.
    pub(crate) storage_tools: Vec<Command>,
    /// Archives created by the allowed account or device.
    pub(crate) windows_backups: Vec<Command>,
    pub(crate) linux_backups: Vec<Command>,
    /// Archives created by commands on the allow-list.
    pub(crate) windows_allowed: Vec<Command>,
    pub(crate) linux_allowed: Vec<Command>,
}

/// Parent, file and command line, in which `{w}` stands for a word and `{n}` for a number.
type Template = (&'static str, &'static str, &'static str);

// "start", "library", "target" and "archive" match the notebook's plain substrings, but none of these commands creates
// an archive.
const WINDOWS: [Template; 26] = [
    ("services.exe", "svchost.exe", r"C:\Windows\System32\svchost.exe -k netsvcs -p -s {w}svc{n}"),
    (
        "chrome.exe",
        "chrome.exe",
        r#""C:\Program Files\Google\Chrome\Application\chrome.exe" --type=renderer --renderer-client-id={n} --lang=en-GB"#,
    ),
    (
        "msedge.exe",
        "msedge.exe",
        r#""C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe" --type=utility --start-stack-profiler --field-trial-handle={n}"#,
    ),
    (
        "explorer.exe",
        "WINWORD.EXE",
        r#""C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" /n "\\files\{w}\report-{n}.docx""#,
    ),
    (
        "explorer.exe",
        "EXCEL.EXE",
        r#""C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE" "\\files\{w}\budget-{n}.xlsx""#,
    ),
    (
        "explorer.exe",
        "OUTLOOK.EXE",
        r#""C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE" /eml {w}{n}.eml"#,
    ),
    (
        "taskeng.exe",
        "powershell.exe",
        r"powershell.exe -NoProfile -File C:\Scripts\Start-Inventory.ps1 -Target srv{n}",
    ),
    ("explorer.exe", "cmd.exe", r"cmd.exe /c start /b C:\Tools\library\{w}{n}.cmd"),
    ("svchost.exe", "taskhostw.exe", r"taskhostw.exe Start Library {w}{n}"),
    ("cmd.exe", "sc.exe", r"sc.exe start {w}Service{n}"),
    ("cmd.exe", "net.exe", r"net.exe start {w}{n}"),
    ("taskeng.exe", "python.exe", r"python.exe C:\Jobs\sync_library.py --target {w}{n}"),
    (
        "explorer.exe",
        "7z.exe",
        r#""C:\Program Files\7-Zip\7z.exe" x C:\Users\Public\Downloads\{w}-{n}.7z -oC:\Tools\{w}"#,
    ),
    (
        "powershell.exe",
        "powershell.exe",
        r"powershell.exe -Command Expand-Archive -Path C:\Packages\{w}-{n}.zip -DestinationPath C:\Tools\{w}",
    ),
    ("explorer.exe", "rar.exe", r#""C:\Program Files\WinRAR\rar.exe" x D:\Media\{w}-{n}.rar D:\Media\out"#),
    ("cmd.exe", "tar.exe", r"tar.exe -xf C:\Packages\{w}-{n}.tar.gz -C C:\Tools\{w}"),
    (
        "services.exe",
        "MsMpEng.exe",
        r#""C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.{n}\MsMpEng.exe""#,
    ),
    ("cmd.exe", "conhost.exe", r"\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1"),
    ("msiexec.exe", "msiexec.exe", r"msiexec.exe /i C:\Installers\{w}-{n}.msi /qn"),
    ("devenv.exe", "git.exe", r"git.exe fetch origin release/{w}-{n}"),
    ("devenv.exe", "dotnet.exe", r"dotnet.exe build C:\src\{w}\p{n}.csproj --no-restore"),
    (
        "cmd.exe",
        "node.exe",
        r"node.exe C:\src\{w}\node_modules\webpack\bin\webpack.js --target web --env build={n}",
    ),
    ("taskeng.exe", "robocopy.exe", r"robocopy.exe \\files\{w} D:\Archive\{w}\{n} /MIR"),
    (
        "explorer.exe",
        "Teams.exe",
        r#""C:\Program Files\Teams\Teams.exe" --type=gpu-process --gpu-preferences={n}"#,
    ),
    ("wmiprvse.exe", "schtasks.exe", r"schtasks.exe /query /tn \Corp\{w}{n}"),
    ("explorer.exe", "notepad.exe", r"notepad.exe \\files\{w}\notes-{n}.txt"),
];
const LINUX: [Template; 20] = [
    ("systemd", "sshd", "/usr/sbin/sshd -D -R"),
    ("systemd", "python3", "/usr/bin/python3 /opt/{w}/manage.py runworker --start-from {n}"),
    ("bash", "tar", "tar -xzf /opt/releases/{w}-{n}.tar.gz -C /opt/{w}"),
    ("bash", "tar", "tar xf /opt/releases/{w}-{n}.tar"),
    ("bash", "unzip", "unzip -q /opt/packages/{w}-{n}.zip -d /opt/{w}"),
    ("bash", "gunzip", "gunzip /var/log/{w}.log.{n}.gz"),
    ("systemd", "systemctl", "systemctl start {w}@{n}.target"),
    ("bash", "ls", "ls -la /usr/lib/library/{w}{n}"),
    ("make", "cargo", "cargo build --target x86_64-unknown-linux-gnu --package {w}{n}"),
    ("bash", "grep", "grep -rn start /etc/{w}/conf.d/{n}.conf"),
    ("cron", "curl", "curl -fsS https://status.corp.example/{w}/{n}"),
    ("cron", "sh", "/bin/sh -c /usr/local/bin/{w}-report {n}"),
    ("systemd", "java", "java -jar /srv/{w}/app-{n}.jar --mode=restart"),
    ("cron", "rsync", "/usr/bin/rsync -a /srv/{w}/ files:/srv/{w}/{n}/"),
    ("containerd-shim", "nginx", "nginx: worker process {n}"),
    ("systemd", "node", "/usr/bin/node /srv/{w}/server.js --port {n}"),
    ("bash", "psql", "psql -h db{n} -c 'select started_at from {w}'"),
    ("cron", "logrotate", "/usr/sbin/logrotate /etc/logrotate.d/{w}{n}"),
    ("bash", "git", "git pull origin {w}-{n}"),
    ("systemd", "dockerd", "/usr/bin/dockerd --host fd:// --label {w}={n}"),
];
const STORAGE_TOOLS: [Template; 6] = [
    ("powershell.exe", "azcopy.exe", "azcopy.exe list https://corpdata.blob.core.windows.net/{w}{n}"),
    ("bash", "az", "az storage account list --query {w}{n} -o table"),
    ("bash", "aws", "aws s3 ls s3://corp-{w}-{n}/"),
    ("bash", "gsutil", "gsutil ls gs://corp-{w}-{n}"),
    ("powershell.exe", "rclone.exe", "rclone.exe size corp:{w}{n} --fast-list"),
    ("bash", "scp", "scp build-{n}.log ops@172.16.0.10:/srv/logs/{w}/"),
];
const WINDOWS_BACKUPS: [Template; 3] = [
    ("taskeng.exe", "7z.exe", r#""C:\Program Files\7-Zip\7z.exe" a D:\nightly\{w}-{n}.7z D:\data\{w}"#),
    (
        "taskeng.exe",
        "powershell.exe",
        r"powershell.exe -Command Compress-Archive -Path D:\data\{w} -DestinationPath D:\nightly\{w}-{n}.zip",
    ),
    ("taskeng.exe", "rar.exe", r"rar.exe a -r D:\nightly\{w}-{n}.rar D:\data\{w}"),
];
const LINUX_BACKUPS: [Template; 2] = [
    ("cron", "tar", "tar -czf /srv/store/{w}-{n}.tar.gz /srv/{w}"),
    ("cron", "zip", "zip -qr /srv/store/{w}-{n}.zip /srv/{w}"),
];
const WINDOWS_ALLOWED: [Template; 1] = [(
    "services.exe",
    "agent.exe",
    r"C:\Program Files\backup_agent\agent.exe --compress D:\store\{w}-{n}.zip",
)];
const LINUX_ALLOWED: [Template; 1] =
    [("cron", "tar", "/usr/bin/tar -czf /var/backups/{w}-{n}.tar.gz /etc/{w}")];

const WORDS: [&str; 18] = [
    "billing", "orders", "finance", "reports", "media", "portal", "crm", "payroll", "web", "mail", "search",
    "stock", "audit", "travel", "print", "calendar", "assets", "projects",
];

impl Commands {
    /// The commands for a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed, 0, "commands");
        Self {
            windows: expand(&WINDOWS, 90, &mut rng),
            linux: expand(&LINUX, 60, &mut rng),
            storage_tools: expand(&STORAGE_TOOLS, 10, &mut rng),
            windows_backups: expand(&WINDOWS_BACKUPS, 20, &mut rng),
            linux_backups: expand(&LINUX_BACKUPS, 20, &mut rng),
            windows_allowed: expand(&WINDOWS_ALLOWED, 20, &mut rng),
            linux_allowed: expand(&LINUX_ALLOWED, 20, &mut rng),
        }
    }
}

/// Each template `times` times, in turns.
fn expand(templates: &[Template], times: usize, rng: &mut SeededRng) -> Vec<Command> {
    let mut commands = Vec::with_capacity(templates.len() * times);
    for _ in 0..times {
        for &(parent, file, template) in templates {
            let line = template
                .replace("{w}", rng.pick::<&str>(&WORDS))
                .replace("{n}", &rng.below(4_000).to_string());
            commands.push(Command { line, parent, file });
        }
    }
    commands
}
