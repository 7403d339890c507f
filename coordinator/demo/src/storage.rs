//! The table StorageBlobLogs: everyday reads and a few writes of the company's storage accounts.

use super::columns::{Count, OrdinaryRows, Text, table};
use super::rng::{Quantiles, SeededRng, scale};
use super::world::World;

table! {
    /// A row of StorageBlobLogs.
    BlobRow, BlobColumns {
        time: "TimeGenerated",
        account: Text = "AccountName",
        operation: Text = "OperationName",
        request_size: Count = "RequestBodySize",
        status: Text = "StatusCode",
        caller: Text = "CallerIpAddress",
        uri: Text = "Uri",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "StorageBlobLogs";
const ACCOUNTS: [&str; 8] = [
    "corpdata",
    "corpweb",
    "corplogs",
    "corpbackup01",
    "corpsync",
    "onedrivecorp",
    "corpmedia",
    "corpbuilds",
];
const CONTAINERS: [&str; 6] = ["reports", "assets", "images", "exports", "logs", "public"];
const BLOBS_PER_ACCOUNT: usize = 300;

/// Blobs and callers of ordinary rows.
pub(crate) struct Blobs {
    /// `BLOBS_PER_ACCOUNT` addresses of each account in turn.
    uris: Vec<String>,
    /// Address and port.
    callers: Vec<String>,
    sizes: Quantiles,
}

impl Blobs {
    /// The blobs for a seed.
    pub fn new(seed: u64, world: &World) -> Self {
        let mut rng = SeededRng::new(seed, 0, "blobs");
        let mut uris = Vec::with_capacity(ACCOUNTS.len() * BLOBS_PER_ACCOUNT);
        for account in ACCOUNTS {
            for blob in 0..BLOBS_PER_ACCOUNT {
                let container = rng.pick(&CONTAINERS);
                uris.push(format!(
                    "https://{account}.blob.core.windows.net:443/{container}/item-{blob:04}.dat"
                ));
            }
        }
        let callers = (0..2_000)
            .map(|_| format!("{}:{}", rng.pick(&world.hosts).address, 49_152 + rng.below(16_384)))
            .collect();
        Self { uris, callers, sizes: Quantiles::log_normal(60_000.0, 1.8) }
    }
}

/// The ordinary rows of StorageBlobLogs for one day.
pub(crate) struct BlobDay<'a> {
    pub world: &'a World,
    pub(crate) blobs: &'a Blobs,
    pub rng: SeededRng,
    /// Midnight of the day, in microseconds since 1970 UTC.
    pub(crate) midnight_us: i64,
}

impl OrdinaryRows for BlobDay<'_> {
    type Columns = BlobColumns;

    fn push(&mut self, _number: u64, columns: &mut BlobColumns) {
        let bits = self.rng.bits();
        let more = self.rng.bits();
        let account = (bits & 7) as usize;
        let blob = account * BLOBS_PER_ACCOUNT + scale((bits >> 32) as u32, BLOBS_PER_ACCOUNT);
        let (operation, status, writes) = match more & 0xFF {
            0..180 => ("GetBlob", "200", false),
            180..195 => ("GetBlobProperties", "200", false),
            195..205 => ("ListBlobs", "200", false),
            205..212 => ("GetBlob", "404", false),
            212..214 => ("PutBlob", "403", true),
            214..240 => ("PutBlob", "201", true),
            240..250 => ("PutBlock", "201", true),
            250..252 => ("PutBlockList", "201", true),
            _ => ("DeleteBlob", "202", false),
        };
        let request_size = if writes { self.blobs.sizes.at((more >> 32) as u32) as i64 } else { 0 };
        columns.push(&BlobRow {
            time: self.midnight_us + self.world.working_day.at(self.rng.bits() as u32) as i64,
            account: Some(ACCOUNTS[account]),
            operation: Some(operation),
            request_size: (more >> 8 & 0xFF != 0).then_some(request_size),
            status: Some(status),
            caller: Some(&self.blobs.callers[scale((bits >> 8) as u32, self.blobs.callers.len())]),
            uri: Some(&self.blobs.uris[blob]),
        });
    }
}
