//! The table CommonSecurityLog: its columns, and the ordinary sessions that a firewall logs on a working day.

use super::columns::{Count, OrdinaryRows, Port, Text, table};
use super::conversations::Conversations;
use super::periodic;
use super::rng::{Quantiles, SeededRng, scale};
use super::world::{Host, KEPT_HOSTS, Peer, Role, World};

table! {
    /// A row of CommonSecurityLog.
    FirewallRow, FirewallColumns {
        time: "TimeGenerated",
        vendor: Text = "DeviceVendor",
        product: Text = "DeviceProduct",
        class: Text = "DeviceEventClassID",
        activity: Text = "Activity",
        severity: Text = "LogSeverity",
        action: Text = "DeviceAction",
        simplified_action: Text = "SimplifiedDeviceAction",
        application: Text = "ApplicationProtocol",
        protocol: Text = "Protocol",
        source_address: Text = "SourceIP",
        source_port: Port = "SourcePort",
        source_user: Text = "SourceUserName",
        source_host: Text = "SourceHostName",
        destination_address: Text = "DestinationIP",
        destination_port: Port = "DestinationPort",
        destination_host: Text = "DestinationHostName",
        sent_bytes: Count = "SentBytes",
        received_bytes: Count = "ReceivedBytes",
        request_url: Text = "RequestURL",
        direction: Text = "CommunicationDirection",
        message: Text = "Message",
        device: Text = "DeviceName",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "CommonSecurityLog";
/// The vendor that the firewall suite analyses.
pub(crate) const PALO_ALTO: (&str, &str) = ("Palo Alto Networks", "PAN-OS");
const OTHER_VENDORS: [(&str, &str); 3] =
    [("Fortinet", "Fortigate"), ("Cisco", "ASA"), ("Check Point", "VPN-1 & FireWall-1")];
const FIREWALLS: [&str; 5] = ["pa-edge-01", "pa-edge-02", "pa-core-01", "pa-branch-01", "pa-branch-02"];
/// Application, protocol and port of external sessions.
const WEB: [(&str, &str, i32); 8] = [
    ("ssl", "tcp", 443),
    ("ssl", "tcp", 443),
    ("ssl", "tcp", 443),
    ("web-browsing", "tcp", 80),
    ("quic-base", "udp", 443),
    ("office365-enterprise-access", "tcp", 443),
    ("smtp", "tcp", 25),
    ("web-browsing", "tcp", 8443),
];
/// Application, protocol and port of internal sessions.
const INTERNAL: [(&str, &str, i32); 10] = [
    ("ms-ds-smbv3", "tcp", 445),
    ("ldap", "tcp", 389),
    ("kerberos", "tcp", 88),
    ("mssql-db", "tcp", 1433),
    ("ssh", "tcp", 22),
    ("ms-rdp", "tcp", 3389),
    ("web-browsing", "tcp", 8080),
    ("ssl", "tcp", 443),
    ("netbios-ns", "udp", 137),
    ("smtp", "tcp", 587),
];
/// Activity and message of reports of the threat engine.
const THREATS: [(&str, Option<&str>); 7] = [
    ("url", None),
    ("url", None),
    ("spyware", Some("Suspicious DNS Query (generic:example.test)(12000)")),
    ("vulnerability", Some("HTTP OPTIONS Method(30520)")),
    ("file", Some("Microsoft PE File(52060)")),
    ("virus", Some("Eicar Test File(100000)")),
    ("wildfire", Some("Windows Executable (EXE)(52020)")),
];
const PUBLIC_RESOLVERS: [&str; 3] = ["8.8.8.8", "1.1.1.1", "9.9.9.9"];

/// Sizes of ordinary sessions, in bytes.
pub(crate) struct SessionSizes {
    sent: Quantiles,
    received: Quantiles,
}

impl SessionSizes {
    pub fn new() -> Self {
        Self { sent: Quantiles::log_normal(1_500.0, 1.5), received: Quantiles::log_normal(6_000.0, 1.8) }
    }
}

/// The ordinary rows of CommonSecurityLog for one day.
pub(crate) struct FirewallDay<'a> {
    pub world: &'a World,
    pub sizes: &'a SessionSizes,
    pub(crate) conversations: Conversations,
    pub rng: SeededRng,
    /// Midnight of the day, in microseconds since 1970 UTC.
    pub(crate) midnight_us: i64,
    /// Ordinary rows of the day.
    pub rows: u64,
}

impl OrdinaryRows for FirewallDay<'_> {
    type Columns = FirewallColumns;

    #[inline]
    fn push(&mut self, number: u64, columns: &mut FirewallColumns) {
        let mut row = FirewallRow::default();
        let bits = self.rng.bits();
        self.set_source(&mut row, bits as u32);
        if !periodic::fill(self, number, &mut row) {
            match bits >> 32 & 0xFF {
                0..130 => self.set_external(&mut row, bits as u32),
                130..205 => self.set_internal(&mut row),
                _ => self.set_dns(&mut row),
            }
            self.set_class(&mut row);
            self.set_gaps(&mut row);
        }
        self.set_device(&mut row);
        columns.push(&row);
    }
}

impl<'a> FirewallDay<'a> {
    /// Sources are managed hosts and a few addresses without a name. The same bits choose the source of a conversation.
    fn set_source(&mut self, row: &mut FirewallRow<&'a str>, bits: u32) {
        let hosts = &self.world.hosts;
        let source = scale(bits, hosts.len() + self.world.unmanaged.len());
        match hosts.get(source) {
            Some(host) => self.set_host(row, host),
            None => row.source_address = Some(&self.world.unmanaged[source - hosts.len()]),
        }
        row.source_port = Some(49_152 + (self.rng.bits() & 0x3FFF) as i32);
    }

    /// Sets a managed host as the source.
    pub(crate) fn set_host(&self, row: &mut FirewallRow<&'a str>, host: &'a Host) {
        row.source_address = Some(&host.address);
        row.source_host = Some(&host.full_name);
        row.source_user = (host.role == Role::Workstation).then_some(host.domain_account.as_str());
    }

    fn set_external(&mut self, row: &mut FirewallRow<&'a str>, source_bits: u32) {
        let sources = self.world.hosts.len() + self.world.unmanaged.len();
        let bits = self.rng.bits();
        let (peer, moment) = self.conversations.pick(scale(source_bits, sources), bits, &mut self.rng);
        row.time = self.midnight_us + moment;
        let application = WEB[(bits & 7) as usize];
        set_application(row, application, "Outbound");
        let peer = &self.world.external[peer];
        set_peer(row, peer);
        if bits >> 3 & 3 == 0 {
            row.destination_host = None;
        }
        if application.0 == "web-browsing" {
            row.request_url = Some(&peer.url);
        }
        self.set_sizes(row);
        // Uploads of people: rare, and much smaller than planted ones.
        if bits >> 5 & 0x7FF == 0 {
            row.sent_bytes = Some(self.rng.between(500_001, 2_000_000));
        }
    }

    fn set_internal(&mut self, row: &mut FirewallRow<&'a str>) {
        self.set_working_time(row);
        let local = if self.rng.chance(0.01) { &self.world.local_v6 } else { &self.world.internal_servers };
        set_peer(row, self.rng.pick(local));
        set_application(row, *self.rng.pick(&INTERNAL), "Internal");
        self.set_sizes(row);
    }

    fn set_dns(&mut self, row: &mut FirewallRow<&'a str>) {
        self.set_working_time(row);
        let bits = self.rng.bits();
        let application = if bits & 3 == 0 { "dns-base" } else { "dns" };
        set_application(row, (application, "udp", 53), "Internal");
        if bits >> 2 & 31 == 0 {
            // The two internal resolvers query the public ones.
            self.set_host(row, &self.world.hosts[KEPT_HOSTS + (bits >> 8 & 1) as usize]);
            row.destination_address = Some(*self.rng.pick(&PUBLIC_RESOLVERS));
            row.direction = Some("Outbound");
        } else {
            set_peer(row, &self.world.internal_servers[(bits >> 8 & 1) as usize]);
        }
        row.sent_bytes = Some(40 + (bits >> 16 & 63) as i64);
        row.received_bytes = Some(60 + (bits >> 24 & 255) as i64);
    }

    pub(crate) fn set_working_time(&mut self, row: &mut FirewallRow<&'a str>) {
        row.time = self.midnight_us + self.world.working_day.at(self.rng.bits() as u32) as i64;
    }

    pub(crate) fn set_sizes(&mut self, row: &mut FirewallRow<&'a str>) {
        let bits = self.rng.bits();
        row.sent_bytes = Some(self.sizes.sent.at(bits as u32) as i64);
        row.received_bytes = Some(self.sizes.received.at((bits >> 32) as u32) as i64);
    }

    fn set_class(&mut self, row: &mut FirewallRow<&'a str>) {
        let bits = self.rng.bits();
        match bits & 0x3FF {
            0..20 => {
                let (activity, message) = *self.rng.pick(&THREATS);
                row.class = Some("THREAT");
                row.activity = Some(activity);
                row.message = message;
                row.severity = Some(["1", "2", "3", "4", "5"][scale((bits >> 32) as u32, 5)]);
                let (action, simplified) = [
                    ("alert", Some("Allowed")),
                    ("block-url", Some("Blocked")),
                    ("drop", Some("Dropped")),
                    ("reset-both", Some("Reset")),
                ][(bits >> 10 & 3) as usize];
                row.action = Some(action);
                row.simplified_action = simplified;
            }
            20..25 => set_management_event(row, "SYSTEM", "general"),
            25..28 => set_management_event(row, "CONFIG", "config"),
            28..30 => set_management_event(row, "", "unknown"),
            _ => set_traffic(row, (bits >> 10 & 0x3FF) as u32),
        }
    }

    /// Removes fields that real logs omit: a destination, the byte counts, a port.
    fn set_gaps(&mut self, row: &mut FirewallRow<&'a str>) {
        let bits = self.rng.bits() & 0xFFF;
        match bits {
            0..20 => {
                row.destination_address = None;
                row.destination_host = None;
            }
            20..32 => {
                row.sent_bytes = None;
                row.received_bytes = None;
            }
            32..36 => row.destination_port = None,
            36..38 => row.source_port = None,
            38..48 => row.simplified_action = None,
            _ => {}
        }
    }

    fn set_device(&mut self, row: &mut FirewallRow<&'a str>) {
        let bits = self.rng.bits();
        // 21 of 256 rows come from other vendors' devices.
        let is_other_vendor = bits & 0xFF < 21;
        let (vendor, product) =
            if is_other_vendor { OTHER_VENDORS[scale((bits >> 32) as u32, 3)] } else { PALO_ALTO };
        row.vendor = Some(vendor);
        row.product = Some(product);
        row.device = Some(FIREWALLS[scale((bits >> 24) as u32, FIREWALLS.len())]);
    }
}

/// Fills an ordinary TRAFFIC row; `share` (0-1023) decides its action.
pub(crate) fn set_traffic(row: &mut FirewallRow<&str>, share: u32) {
    let (activity, action, simplified) = match share {
        0..8 => ("deny", "deny", "Blocked"),
        8..15 => ("drop", "drop", "Dropped"),
        15..21 => ("end", "reset-both", "Reset"),
        _ => ("end", "allow", "Allowed"),
    };
    row.class = Some("TRAFFIC");
    row.activity = Some(activity);
    row.severity = Some("1");
    row.action = Some(action);
    row.simplified_action = Some(simplified);
}

fn set_management_event(row: &mut FirewallRow<&str>, class: &'static str, activity: &'static str) {
    row.class = Some(class).filter(|class| !class.is_empty());
    row.activity = Some(activity);
    row.severity = Some("1");
}

/// Sets a peer as the destination.
pub(crate) fn set_peer<'a>(row: &mut FirewallRow<&'a str>, peer: &'a Peer) {
    row.destination_address = Some(&peer.address);
    row.destination_host = Some(&peer.name);
}

/// Fills application, protocol, port and direction.
pub(crate) fn set_application(
    row: &mut FirewallRow<&str>,
    (application, protocol, port): (&'static str, &'static str, i32),
    direction: &'static str,
) {
    row.application = Some(application);
    row.protocol = Some(protocol);
    row.destination_port = Some(port);
    row.direction = Some(direction);
}
