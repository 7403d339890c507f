//! The planted attacks and look-alikes: one file per kind, each with hosts and addresses that no other one uses.

mod audit;
mod beacons;
mod combinations;
mod dns;
mod egress;
mod exfiltration;
mod locations;
mod lookalikes;
mod operations;
mod sessions;
mod staging;
mod story;
mod threats;
mod uploads;

use super::audit::{self as audit_logs, AuditRow};
use super::columns::Timed;
use super::files::{self, FileRow};
use super::firewall::{self, FirewallRow};
use super::flows::{self, FlowRow};
use super::network::{self, NetworkRow};
use super::office::{self, OfficeRow};
use super::people::Person;
use super::process::{self, ProcessRow};
use super::rng::SeededRng;
use super::storage::{self, BlobRow};
use super::tables::Shares;
use super::truth::{Attack, Lookalike, PlantedIncident, PlantedRows};
use super::world::{Host, Role, World, victim};
use super::{DAY_US, DemoOptions, midnight_us};

/// Microseconds per second, minute and hour.
const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

/// The planted rows of one table, by day.
type ByDay<Row> = Vec<Vec<Row>>;

/// All planted rows, and the attacks and look-alikes that they form.
pub struct Plan {
    pub attacks: Vec<Attack>,
    pub incidents: Vec<PlantedIncident>,
    pub lookalikes: Vec<Lookalike>,
    /// Attacked endpoints, which have ordinary processes and files but no ordinary connections.
    pub victims: Vec<Host>,
    pub firewall: ByDay<FirewallRow<String>>,
    pub network: ByDay<NetworkRow<String>>,
    pub process: ByDay<ProcessRow<String>>,
    pub file: ByDay<FileRow<String>>,
    pub blob: ByDay<BlobRow<String>>,
    pub audit: ByDay<AuditRow<String>>,
    pub office: ByDay<OfficeRow<String>>,
    pub flows: ByDay<FlowRow<String>>,
}

impl Plan {
    /// Plants every kind of attack that fits into the requested days.
    pub fn new(options: &DemoOptions, shares: &Shares, world: &World) -> Self {
        let days = options.days as usize;
        let plan = Self {
            attacks: Vec::new(),
            incidents: Vec::new(),
            lookalikes: Vec::new(),
            victims: Vec::new(),
            firewall: vec![Vec::new(); days],
            network: vec![Vec::new(); days],
            process: vec![Vec::new(); days],
            file: vec![Vec::new(); days],
            blob: vec![Vec::new(); days],
            audit: vec![Vec::new(); days],
            office: vec![Vec::new(); days],
            flows: vec![Vec::new(); days],
        };
        let rng = SeededRng::new(options.seed, 0, "plants");
        let mut planner =
            Planner { plan, rng, start_us: midnight_us(options.start), days: days as i64, sources: 0 };
        staging::plant(&mut planner);
        uploads::plant(&mut planner);
        egress::plant(&mut planner, shares, world);
        audit::plant(&mut planner);
        beacons::plant(&mut planner);
        dns::plant(&mut planner);
        exfiltration::plant(&mut planner);
        threats::plant(&mut planner);
        locations::plant(&mut planner);
        combinations::plant(&mut planner);
        story::plant(&mut planner, shares, world);
        lookalikes::plant(&mut planner, world);
        planner.plan
    }
}

/// A plan that is being built.
struct Planner {
    plan: Plan,
    rng: SeededRng,
    start_us: i64,
    days: i64,
    /// Number of hosts so far that only the firewall sees.
    sources: usize,
}

impl Planner {
    /// A new attacked endpoint.
    fn endpoint(&mut self, role: Role) -> Host {
        let host = victim(role, self.plan.victims.len(), &mut self.rng);
        self.plan.victims.push(host.clone());
        host
    }

    /// A new attacked workstation that only the firewall sees.
    fn source(&mut self) -> Host {
        self.sources += 1;
        victim(Role::Workstation, 200 + self.sources, &mut self.rng)
    }

    /// A new person of whom only the account is attacked.
    fn person(&mut self) -> Person {
        let account = self.source().account;
        // Outside the numbers of people of ordinary hosts.
        Person::new(&account, 5_000 + self.sources)
    }

    /// The start of the day in turn, in microseconds since 1970 UTC.
    fn day_of_turn(&self, turn: i64) -> i64 {
        self.start_us + turn.rem_euclid(self.days.max(1)) * DAY_US
    }

    /// A random time on the day in turn for the attack with this number, so that attacks are spread over the days. It
    /// is between 01:00 and 22:00 minus `length_us`, to leave room for what follows.
    fn moment_of_turn(&mut self, turn: i64, length_us: i64) -> i64 {
        self.day_of_turn(turn) + self.rng.between(HOUR_US, 22 * HOUR_US - length_us)
    }

    /// The id of a planted process, outside the range of ordinary ones.
    fn process_id(&mut self) -> i64 {
        4 * self.rng.between(12_500, 16_000)
    }

    /// Lists an attack if at least one of its rows is within the days of the lake.
    fn finish(&mut self, attack: Attack) {
        if attack.planted.rows > 0 {
            self.plan.attacks.push(attack);
        }
    }

    fn add_firewall(&mut self, planted: &mut PlantedRows, row: FirewallRow<String>) {
        add(&mut self.plan.firewall, self.start_us, planted, firewall::TABLE, row);
    }

    fn add_network(&mut self, planted: &mut PlantedRows, row: NetworkRow<String>) {
        add(&mut self.plan.network, self.start_us, planted, network::TABLE, row);
    }

    fn add_process(&mut self, planted: &mut PlantedRows, row: ProcessRow<String>) {
        add(&mut self.plan.process, self.start_us, planted, process::TABLE, row);
    }

    fn add_file(&mut self, planted: &mut PlantedRows, row: FileRow<String>) {
        add(&mut self.plan.file, self.start_us, planted, files::TABLE, row);
    }

    fn add_blob(&mut self, planted: &mut PlantedRows, row: BlobRow<String>) {
        add(&mut self.plan.blob, self.start_us, planted, storage::TABLE, row);
    }

    fn add_audit(&mut self, planted: &mut PlantedRows, row: AuditRow<String>) {
        add(&mut self.plan.audit, self.start_us, planted, audit_logs::TABLE, row);
    }

    fn add_office(&mut self, planted: &mut PlantedRows, row: OfficeRow<String>) {
        add(&mut self.plan.office, self.start_us, planted, office::TABLE, row);
    }

    fn add_flow(&mut self, planted: &mut PlantedRows, row: FlowRow<String>) {
        add(&mut self.plan.flows, self.start_us, planted, flows::TABLE, row);
    }
}

/// Adds a row to its day and counts it. Rows outside the days of the lake are left out.
fn add<Row: Timed>(
    days: &mut ByDay<Row>,
    start_us: i64,
    planted: &mut PlantedRows,
    table: &'static str,
    row: Row,
) {
    let day = usize::try_from((row.time_us() - start_us).div_euclid(DAY_US));
    if let Some(rows) = day.ok().and_then(|day| days.get_mut(day)) {
        planted.count_row(table, row.time_us());
        rows.push(row);
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}
