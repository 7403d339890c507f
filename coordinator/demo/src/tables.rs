//! The tables of the lake: distributes the rows of a day among them, and writes one table at a time.

use std::path::Path;

use chrono::NaiveDate;

use super::audit::{self, AuditDay, Directory};
use super::columns::{OrdinaryRows, TableColumns};
use super::commands::Commands;
use super::conversations::Conversations;
use super::files::{self, Documents, FileDay};
use super::firewall::{self, FirewallDay, SessionSizes};
use super::flows::{self, FlowDay};
use super::network::{self, NetworkDay};
use super::office::{self, OfficeDay, OfficeDocuments};
use super::plants::Plan;
use super::process::{self, ProcessDay};
use super::rng::SeededRng;
use super::storage::{self, BlobDay, Blobs};
use super::world::World;
use super::write::{DayOfTable, Written, write_day};
use super::{DemoError, DemoOptions, midnight_us};

/// Ordinary rows per day in each table.
#[derive(Clone, Copy)]
pub struct Shares {
    pub firewall: u64,
    pub network: u64,
    pub process: u64,
    pub file: u64,
    pub blob: u64,
    pub audit: u64,
    pub office: u64,
    pub flows: u64,
}

impl Shares {
    /// Shares that add up to `rows_per_day` exactly.
    pub fn of(rows_per_day: u64) -> Self {
        // Computed in thousandths, without overflow for any count.
        let share = |thousandths: u64| (u128::from(rows_per_day) * u128::from(thousandths) / 1000) as u64;
        let (network, process, file, blob) = (share(200), share(105), share(45), share(15));
        let (audit, office, flows) = (share(5), share(25), share(5));
        let firewall = rows_per_day - network - process - file - blob - audit - office - flows;
        Self { firewall, network, process, file, blob, audit, office, flows }
    }

    /// Number of managed hosts for these rows: about three connections per host and hour.
    pub fn hosts(self) -> usize {
        (self.network / 72).clamp(8, 4_000) as usize
    }
}

/// Everything that generates ordinary and planted rows of all days.
pub(crate) struct Makers {
    seed: u64,
    shares: Shares,
    world: World,
    sizes: SessionSizes,
    commands: Commands,
    documents: Documents,
    blobs: Blobs,
    directory: Directory,
    office_documents: OfficeDocuments,
    pub plan: Plan,
}

/// The day and the folder of rows.
struct Day<'a> {
    lake: &'a Path,
    number: usize,
    date: NaiveDate,
    midnight_us: i64,
}

impl Makers {
    pub fn new(options: &DemoOptions) -> Self {
        let shares = Shares::of(options.rows_per_day);
        let world = World::new(options.seed, shares.hosts());
        Self {
            seed: options.seed,
            shares,
            sizes: SessionSizes::new(),
            commands: Commands::new(options.seed),
            documents: Documents::new(options.seed),
            blobs: Blobs::new(options.seed, &world),
            directory: Directory::new(options.seed, &world),
            office_documents: OfficeDocuments::new(options.seed),
            plan: Plan::new(options, &shares, &world),
            world,
        }
    }

    /// Writes all tables of the day with this number (0 is the first).
    pub(crate) fn write_day(
        &self,
        lake: &Path,
        number: usize,
        date: NaiveDate,
    ) -> Result<Written, DemoError> {
        let day = Day { lake, number, date, midnight_us: midnight_us(date) };
        let parts = [
            self.write_firewall(&day)?,
            self.write_network(&day)?,
            self.write_process(&day)?,
            self.write_file(&day)?,
            self.write_blob(&day)?,
            self.write_audit(&day)?,
            self.write_office(&day)?,
            self.write_flows(&day)?,
        ];
        let mut sum = Written::default();
        for part in parts {
            sum.rows += part.rows;
            sum.files += part.files;
            sum.bytes += part.bytes;
        }
        Ok(sum)
    }

    fn rng(&self, day: &Day, stream: &str) -> SeededRng {
        SeededRng::new(self.seed, day.number as u64, stream)
    }

    fn write_firewall(&self, day: &Day) -> Result<Written, DemoError> {
        let rows = self.shares.firewall;
        let mut rng = self.rng(day, "firewall");
        let conversations = Conversations::new(&self.world, rows / 2, &mut rng);
        let (world, sizes, midnight_us) = (&self.world, &self.sizes, day.midnight_us);
        let ordinary = FirewallDay { world, sizes, conversations, rng, midnight_us, rows };
        self.write(day, firewall::TABLE, 4, ordinary, rows, &self.plan.firewall[day.number])
    }

    fn write_network(&self, day: &Day) -> Result<Written, DemoError> {
        let rows = self.shares.network;
        let ordinary = NetworkDay::new(&self.world, self.rng(day, "network"), day.midnight_us, rows);
        self.write(day, network::TABLE, 4, ordinary, rows, &self.plan.network[day.number])
    }

    fn write_process(&self, day: &Day) -> Result<Written, DemoError> {
        let ordinary = ProcessDay {
            world: &self.world,
            victims: &self.plan.victims,
            commands: &self.commands,
            rng: self.rng(day, "process"),
            midnight_us: day.midnight_us,
        };
        self.write(day, process::TABLE, 3, ordinary, self.shares.process, &self.plan.process[day.number])
    }

    fn write_file(&self, day: &Day) -> Result<Written, DemoError> {
        let ordinary = FileDay {
            world: &self.world,
            victims: &self.plan.victims,
            documents: &self.documents,
            rng: self.rng(day, "file"),
            midnight_us: day.midnight_us,
        };
        self.write(day, files::TABLE, 2, ordinary, self.shares.file, &self.plan.file[day.number])
    }

    fn write_blob(&self, day: &Day) -> Result<Written, DemoError> {
        let (world, blobs, midnight_us) = (&self.world, &self.blobs, day.midnight_us);
        let ordinary = BlobDay { world, blobs, rng: self.rng(day, "blob"), midnight_us };
        self.write(day, storage::TABLE, 1, ordinary, self.shares.blob, &self.plan.blob[day.number])
    }

    fn write_audit(&self, day: &Day) -> Result<Written, DemoError> {
        let (world, directory, midnight_us) = (&self.world, &self.directory, day.midnight_us);
        let ordinary = AuditDay { world, directory, rng: self.rng(day, "audit"), midnight_us };
        self.write(day, audit::TABLE, 1, ordinary, self.shares.audit, &self.plan.audit[day.number])
    }

    fn write_office(&self, day: &Day) -> Result<Written, DemoError> {
        let (world, documents, midnight_us) = (&self.world, &self.office_documents, day.midnight_us);
        let ordinary = OfficeDay { world, documents, rng: self.rng(day, "office"), midnight_us };
        self.write(day, office::TABLE, 2, ordinary, self.shares.office, &self.plan.office[day.number])
    }

    fn write_flows(&self, day: &Day) -> Result<Written, DemoError> {
        let (world, midnight_us) = (&self.world, day.midnight_us);
        let ordinary = FlowDay { world, rng: self.rng(day, "flows"), midnight_us };
        self.write(day, flows::TABLE, 1, ordinary, self.shares.flows, &self.plan.flows[day.number])
    }

    fn write<R: OrdinaryRows>(
        &self,
        day: &Day,
        table: &str,
        files_wanted: u64,
        ordinary: R,
        ordinary_rows: u64,
        planted: &[<R::Columns as TableColumns>::Planted],
    ) -> Result<Written, DemoError> {
        let folder = day.lake.join(table).join(format!("date={}", day.date));
        // A separate stream: the positions of planted rows must not depend on how ordinary rows are drawn.
        let mut rng = self.rng(day, &format!("slots {table}"));
        write_day(DayOfTable { folder, files_wanted, ordinary, ordinary_rows, planted }, &mut rng)
    }
}
