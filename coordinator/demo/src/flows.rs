//! The table AzureNetworkAnalytics_CL: hourly flows of the company's cloud machines.

use super::columns::{Count, OrdinaryRows, Port, Text, Time, table};
use super::rng::{SeededRng, scale};
use super::world::World;

table! {
    /// A row of AzureNetworkAnalytics_CL.
    FlowRow, FlowColumns {
        time: "TimeGenerated",
        flow_start: Time = "FlowStartTime",
        flow_end: Time = "FlowEndTime",
        machine: Text = "VMName",
        machine_address: Text = "VMIPAddress",
        public_addresses: Text = "PublicIPs",
        source_address: Text = "SrcIP",
        destination_address: Text = "DestIP",
        external_address: Text = "AllExtIPs",
        l4_protocol: Text = "L4Protocol",
        l7_protocol: Text = "L7Protocol",
        destination_port: Port = "DestPort",
        direction: Text = "FlowDirection",
        allowed_out_flows: Count = "AllowedOutFlows",
        allowed_in_flows: Count = "AllowedInFlows",
        flow_type: Text = "FlowType",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "AzureNetworkAnalytics_CL";
/// Names and addresses of the machines. People reach the first three from outside.
pub(crate) const MACHINES: [(&str, &str); 6] = [
    ("vm-web-01", "10.200.0.4"),
    ("vm-web-02", "10.200.0.5"),
    ("vm-jump-01", "10.200.0.10"),
    ("vm-app-01", "10.200.1.4"),
    ("vm-app-02", "10.200.1.5"),
    ("vm-db-01", "10.200.2.4"),
];
const MACHINES_REACHED: usize = 3;
/// Public addresses of the cloud's services.
const CLOUD_SERVICES: [&str; 5] =
    ["191.239.80.10", "191.239.80.22", "191.239.81.7", "191.239.96.40", "191.239.96.41"];
/// Protocols and ports of external connections of machines.
const OUTWARD: [(&str, &str, i32); 4] =
    [("T", "https", 443), ("T", "https", 443), ("T", "http", 80), ("U", "ntp", 123)];
/// Protocols and ports of connections between machines.
const INSIDE: [(&str, &str, i32); 3] =
    [("T", "ms-sql-s", 1433), ("T", "microsoft-ds", 445), ("T", "https", 443)];
const MINUTE_US: i64 = 60_000_000;

/// The ordinary rows of AzureNetworkAnalytics_CL for one day.
pub(crate) struct FlowDay<'a> {
    pub world: &'a World,
    pub rng: SeededRng,
    /// Midnight of the day, in microseconds since 1970 UTC.
    pub(crate) midnight_us: i64,
}

impl OrdinaryRows for FlowDay<'_> {
    type Columns = FlowColumns;

    fn push(&mut self, _number: u64, columns: &mut FlowColumns) {
        let time = self.midnight_us + self.world.working_day.at(self.rng.bits() as u32) as i64;
        // Flows are aggregated over an hour and logged some time later.
        let flow_end = time - self.rng.between(20 * MINUTE_US, 80 * MINUTE_US);
        let flow_start = flow_end - self.rng.between(0, 55 * MINUTE_US);
        let bits = self.rng.bits();
        let mut row = FlowRow { time, flow_start, flow_end, ..FlowRow::default() };
        let flows = 1 + (bits >> 8 & 31) as i64 * (bits >> 13 & 1) as i64;
        match bits & 0xFF {
            0..150 => {
                let service = CLOUD_SERVICES[scale((bits >> 32) as u32, CLOUD_SERVICES.len())];
                self.set_outbound(&mut row, "AzurePublic", service, flows);
                let other = self.rng.pick(&CLOUD_SERVICES);
                let both = format!(r#"["{service}","{other}"]"#);
                push(columns, row, if *other == service { None } else { Some(&both) });
                return;
            }
            150..190 => {
                let peer = &self.world.external[self.world.popular_external((bits >> 32) as u32)];
                self.set_outbound(&mut row, "ExternalPublic", &peer.address, flows);
            }
            190..235 => {
                let people = &self.world.people;
                let person = &people[scale((bits >> 32) as u32, people.len())];
                let address = if bits >> 14 & 1 == 0 { &person.home } else { &person.office };
                set_inbound(&mut row, scale((bits >> 16) as u32, MACHINES_REACHED), &address.plain, flows);
            }
            _ => self.set_inside(&mut row, flows),
        }
        push(columns, row, None);
    }
}

impl FlowDay<'_> {
    fn set_outbound<'row>(
        &mut self,
        row: &mut FlowRow<&'row str>,
        flow_type: &'static str,
        external: &'row str,
        flows: i64,
    ) {
        let (machine, address) = *self.rng.pick(&MACHINES);
        row.machine = Some(machine);
        row.machine_address = Some(address);
        row.external_address = Some(external);
        set_protocol(row, *self.rng.pick(&OUTWARD), "O");
        row.flow_type = Some(flow_type);
        row.allowed_out_flows = Some(flows);
        row.allowed_in_flows = Some(0);
    }

    fn set_inside(&mut self, row: &mut FlowRow<&str>, flows: i64) {
        let source = self.rng.below(MACHINES.len());
        let destination = (source + 1 + self.rng.below(MACHINES.len() - 1)) % MACHINES.len();
        row.source_address = Some(MACHINES[source].1);
        row.destination_address = Some(MACHINES[destination].1);
        set_protocol(row, *self.rng.pick(&INSIDE), "O");
        row.flow_type = Some("IntraVNet");
        row.allowed_out_flows = Some(flows);
        row.allowed_in_flows = Some(0);
    }
}

/// Fills a row with `flows` TLS flows from an external address to the machine at index `place`.
fn set_inbound<'row>(row: &mut FlowRow<&'row str>, place: usize, external: &'row str, flows: i64) {
    let (machine, address) = MACHINES[place];
    row.machine = Some(machine);
    row.machine_address = Some(address);
    row.external_address = Some(external);
    set_protocol(row, ("T", "https", 443), "I");
    row.flow_type = Some("ExternalPublic");
    row.allowed_out_flows = Some(0);
    row.allowed_in_flows = Some(flows);
}

fn set_protocol(
    row: &mut FlowRow<&str>,
    (l4_protocol, l7_protocol, port): (&'static str, &'static str, i32),
    direction: &'static str,
) {
    row.l4_protocol = Some(l4_protocol);
    row.l7_protocol = Some(l7_protocol);
    row.destination_port = Some(port);
    row.direction = Some(direction);
}

/// Adds a row. `public` are its public addresses if there are others than the external one.
fn push(columns: &mut FlowColumns, row: FlowRow<&str>, public: Option<&str>) {
    let alone = row.external_address.map(|address| format!(r#"["{address}"]"#));
    columns.push(&FlowRow { public_addresses: public.or(alone.as_deref()), ..row });
}
