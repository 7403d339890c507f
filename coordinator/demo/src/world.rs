//! The fictional company of the demo lake: its hosts, people and addresses, and the internet addresses it connects to.

use super::people::Person;
use super::rng::{Quantiles, SeededRng, scale};

/// Kind of a host, which decides its file system, processes and daily rhythm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A Windows workstation, busier in working hours.
    Workstation,
    /// A Windows server, equally busy day and night.
    WindowsServer,
    /// A Linux server, equally busy day and night.
    LinuxServer,
}

/// A managed computer, which the endpoint agent and the firewall see.
#[derive(Clone)]
pub struct Host {
    /// Short name, as in the endpoint tables.
    pub name: String,
    /// Name with the domain, as in the firewall table.
    pub full_name: String,
    pub role: Role,
    pub address: String,
    /// Account of its main user, without domain.
    pub account: String,
    /// The same account with the domain, as in the firewall table.
    pub(crate) domain_account: String,
    /// Bytes that it usually sends per hour, always below 1 MiB.
    pub(crate) hourly_bytes: f64,
}

/// An address that hosts connect to.
pub(crate) struct Peer {
    pub address: String,
    pub name: String,
    /// URL of plain HTTP requests to it.
    pub url: String,
}

impl Peer {
    fn new(address: String, name: String) -> Self {
        Self { url: format!("{name}/"), address, name }
    }
}

/// Hosts, people and addresses of ordinary rows.
pub struct World {
    /// The first [`SPIKE_HOSTS`] are servers with a flat rate, reserved for planted egress spikes; the next one is for
    /// the story.
    pub hosts: Vec<Host>,
    /// The main users of the workstations, in the same order. The first one is the story's.
    pub people: Vec<Person>,
    /// Addresses that only the firewall sees, and no endpoint agent: printers, cameras, guests.
    pub(crate) unmanaged: Vec<String>,
    pub(crate) internal_servers: Vec<Peer>,
    /// In order of popularity, the most popular first.
    pub external: Vec<Peer>,
    /// Internal addresses in `fd00::/8`.
    pub(crate) local_v6: Vec<Peer>,
    /// Distribution of times over the company's working day.
    pub(crate) working_day: Quantiles,
}

/// Hosts whose ordinary traffic is the flat baseline of a planted egress spike.
pub(crate) const SPIKE_HOSTS: usize = 3;
/// The workstation of the story that goes through all suites.
pub(crate) const STORY_HOST: usize = SPIKE_HOSTS;
/// Hosts at the start of the list that are reserved for planted attacks.
pub(crate) const KEPT_HOSTS: usize = SPIKE_HOSTS + 1;
/// The device on the allow-list, which creates archives day and night.
pub(crate) const BACKUP_DEVICE: &str = "backup-server01";
/// The account on the allow-list.
pub(crate) const BACKUP_ACCOUNT: &str = "backup-svc";
/// Bytes per hour of the first [`SPIKE_HOSTS`] hosts.
pub(crate) const SPIKE_HOURLY_BYTES: f64 = 400_000.0;
/// Bytes per hour of the story's workstation: so few that its small upload is not a spike.
pub(crate) const STORY_HOURLY_BYTES: f64 = 250_000.0;

const OFFICE_HOURS: [f64; 24] = [
    0.35, 0.3, 0.3, 0.3, 0.35, 0.5, 0.9, 1.5, 2.1, 2.4, 2.5, 2.4, 2.0, 2.2, 2.4, 2.3, 2.1, 1.7, 1.2, 0.9,
    0.7, 0.6, 0.5, 0.4,
];
pub(crate) const FIRST_NAMES: [&str; 24] = [
    "anna", "ben", "carla", "david", "elena", "felix", "grace", "hugo", "irene", "jonas", "karin", "liam",
    "maya", "noah", "olga", "pavel", "quinn", "rosa", "sven", "tara", "umar", "vera", "wim", "yara",
];
const LAST_NAMES: [&str; 20] = [
    "adler",
    "brandt",
    "costa",
    "dubois",
    "ekman",
    "fischer",
    "garcia",
    "hansen",
    "ivanova",
    "jansen",
    "kovacs",
    "lindqvist",
    "moreau",
    "novak",
    "okafor",
    "petrov",
    "rossi",
    "schmidt",
    "tanaka",
    "weber",
];
const DEPARTMENTS: [&str; 6] = ["fin", "hr", "eng", "sales", "legal", "ops"];
const SITE_WORDS: [&str; 16] = [
    "cdn",
    "static",
    "api",
    "media",
    "mail",
    "portal",
    "update",
    "login",
    "img",
    "news",
    "shop",
    "maps",
    "video",
    "docs",
    "telemetry",
    "edge",
];
/// First octets of ordinary external addresses. They contain no reserved range and no planted destination.
const PUBLIC_OCTETS: [u8; 18] =
    [13, 17, 20, 23, 34, 40, 52, 54, 65, 78, 87, 93, 104, 142, 151, 157, 184, 212];

impl World {
    /// A managed host or one of `others`, all equally likely, chosen by 32 random bits.
    pub(crate) fn host_or<'a>(&'a self, others: &'a [Host], bits: u32) -> &'a Host {
        let index = scale(bits, self.hosts.len() + others.len());
        self.hosts.get(index).unwrap_or_else(|| &others[index - self.hosts.len()])
    }

    /// The company with `host_count` managed hosts for a seed.
    pub fn new(seed: u64, host_count: usize) -> Self {
        let mut rng = SeededRng::new(seed, 0, "world");
        let hosts: Vec<Host> = (0..host_count).map(|number| host(number, &mut rng)).collect();
        let people = hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| host.role == Role::Workstation)
            .map(|(number, host)| Person::new(&host.account, number))
            .collect();
        let unmanaged =
            (0..host_count / 8 + 1).map(|n| format!("192.168.{}.{}", 10 + n / 250, 2 + n % 250)).collect();
        let internal_servers = (0..(host_count / 12).clamp(6, 120))
            .map(|n| {
                Peer::new(format!("172.16.{}.{}", n / 100, 10 + n % 100), format!("app-{n:03}.corp.example"))
            })
            .collect();
        let external = (0..(host_count * 6).clamp(300, 20_000)).map(|n| external_peer(n, &mut rng)).collect();
        let local_v6 = (0..12)
            .map(|n| Peer::new(format!("fd00:10:20::{:x}", n + 16), format!("v6-{n:02}.corp.example")))
            .collect();
        Self {
            hosts,
            people,
            unmanaged,
            internal_servers,
            external,
            local_v6,
            working_day: Quantiles::day_curve(&OFFICE_HOURS),
        }
    }

    /// An index into `external`. Popularity falls with the inverse of the rank (Zipf's law).
    pub(crate) fn popular_external(&self, bits: u32) -> usize {
        let count = self.external.len() as f64;
        let share = f64::from(bits) / 4_294_967_296.0;
        // The inverse of the integral of 1/(rank + 3): close enough to Zipf, and needs no table.
        let rank = 3.0 * ((count + 3.0) / 3.0).powf(share) - 3.0;
        (rank as usize).min(self.external.len() - 1)
    }
}

fn host(number: usize, rng: &mut SeededRng) -> Host {
    let is_spike_host = number < SPIKE_HOSTS;
    let role = match rng.below(100) {
        _ if is_spike_host => Role::WindowsServer,
        _ if number == STORY_HOST => Role::Workstation,
        0..75 => Role::Workstation,
        75..87 => Role::WindowsServer,
        _ => Role::LinuxServer,
    };
    let hourly_bytes = match number {
        _ if is_spike_host => SPIKE_HOURLY_BYTES,
        STORY_HOST => STORY_HOURLY_BYTES,
        _ => 60_000.0 + 240_000.0 * rng.unit(),
    };
    let address = format!("10.{}.{}.{}", 20 + number / 50_000, number / 200 % 250, 10 + number % 200);
    host_of(role, number, address, hourly_bytes, rng)
}

/// The host with this number among those reserved for planted attacks.
pub fn victim(role: Role, number: usize, rng: &mut SeededRng) -> Host {
    // Outside the numbers and subnets of ordinary hosts.
    host_of(role, 9_000 + number, format!("10.99.{}.{}", number / 200, 10 + number % 200), 0.0, rng)
}

fn host_of(role: Role, number: usize, address: String, hourly_bytes: f64, rng: &mut SeededRng) -> Host {
    let name = match role {
        Role::Workstation => format!("ws-{}-{number:04}", rng.pick(&DEPARTMENTS)),
        Role::WindowsServer => format!("srv-win-{number:04}"),
        Role::LinuxServer => format!("srv-lnx-{number:04}"),
    };
    let account = format!("{}.{}{}", rng.pick(&FIRST_NAMES), rng.pick(&LAST_NAMES), number);
    Host {
        full_name: format!("{name}.corp.example"),
        name,
        role,
        address,
        domain_account: format!("CORP\\{account}"),
        account,
        hourly_bytes,
    }
}

fn external_peer(number: usize, rng: &mut SeededRng) -> Peer {
    let name = format!("{}{number}.{}.example", rng.pick(&SITE_WORDS), rng.pick(&SITE_WORDS));
    // By rank and not at random: one very popular IPv6 address would have a tenth of all traffic.
    let address = match (number % 50, number % 97) {
        (25, _) => format!("2a01:4f8:{:x}::{:x}", 0x100 + number / 256, 1 + number % 256),
        (_, 60) => format!("2001:db8:{:x}::{:x}", 0x10 + number / 256, 1 + number % 256),
        _ => {
            let first = rng.pick(&PUBLIC_OCTETS);
            // The number in the middle octets makes every address unique.
            format!("{first}.{}.{}.{}", 1 + number / 200, 1 + number % 200, 1 + rng.below(250))
        }
    };
    Peer::new(address, name)
}
