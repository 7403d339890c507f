//! The tables that Hindcast reads: their time column, their shard key and their columns.

/// The kind of a column, independent of the physical type in which a file stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A time, read as microseconds in UTC.
    Time,
    /// Text, read as a dictionary; nested values are read as JSON.
    Text,
    /// A whole number: bytes, ports, identifiers.
    Integer,
}

/// One column of a table, by its name in the product that logs it.
#[derive(Debug, Clone, Copy)]
pub struct ColumnSpec {
    /// Name, case-sensitive.
    pub name: &'static str,
    /// Its kind.
    pub kind: ColumnKind,
}

/// One table of the lake.
///
/// ```
/// use hindcast_lake::{ColumnKind, TableSpec};
///
/// let table = TableSpec::by_name("CommonSecurityLog").unwrap();
/// assert_eq!(table.time_column, "TimeGenerated");
/// assert_eq!(table.column("SentBytes").map(|column| column.kind), Some(ColumnKind::Integer));
/// assert!(table.column("sentbytes").is_none(), "names are case-sensitive");
/// ```
#[derive(Debug)]
pub struct TableSpec {
    /// Name of the table and of its folder.
    pub name: &'static str,
    /// Column with the row's time; a file without it can't be read.
    pub time_column: &'static str,
    /// Column whose value decides the shard, if the table has one.
    pub shard_key: Option<&'static str>,
    /// Columns read, the time column included.
    pub columns: &'static [ColumnSpec],
}

const fn time(name: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind: ColumnKind::Time }
}
const fn text(name: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind: ColumnKind::Text }
}
const fn integer(name: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind: ColumnKind::Integer }
}

/// All tables that any suite reads.
pub static TABLES: &[TableSpec] = &[
    TableSpec {
        name: "DeviceFileEvents",
        time_column: "Timestamp",
        shard_key: Some("DeviceName"),
        columns: &[
            time("Timestamp"),
            text("DeviceName"),
            text("FileName"),
            text("FolderPath"),
            text("ActionType"),
            integer("FileSize"),
            text("InitiatingProcessAccountName"),
            integer("InitiatingProcessId"),
        ],
    },
    TableSpec {
        name: "DeviceProcessEvents",
        time_column: "Timestamp",
        shard_key: Some("DeviceName"),
        columns: &[
            time("Timestamp"),
            text("DeviceName"),
            text("InitiatingProcessAccountName"),
            text("ProcessCommandLine"),
            integer("InitiatingProcessId"),
            text("InitiatingProcessParentFileName"),
            text("FileName"),
        ],
    },
    TableSpec {
        name: "DeviceNetworkEvents",
        time_column: "Timestamp",
        shard_key: Some("DeviceName"),
        columns: &[
            time("Timestamp"),
            text("DeviceName"),
            text("InitiatingProcessAccountName"),
            integer("InitiatingProcessId"),
            text("RemoteUrl"),
            text("RemoteIP"),
            integer("RemotePort"),
            text("LocalIP"),
            integer("BytesSent"),
        ],
    },
    TableSpec {
        name: "StorageBlobLogs",
        time_column: "TimeGenerated",
        shard_key: Some("CallerIpAddress"),
        columns: BLOB_COLUMNS,
    },
    TableSpec {
        name: "BlobServiceLogs",
        time_column: "TimeGenerated",
        shard_key: Some("CallerIpAddress"),
        columns: BLOB_COLUMNS,
    },
    TableSpec {
        name: "AuditLogs",
        time_column: "TimeGenerated",
        shard_key: None,
        columns: &[
            time("TimeGenerated"),
            text("OperationName"),
            text("ResultDescription"),
            text("InitiatedBy"),
            text("TargetResources"),
        ],
    },
    TableSpec {
        name: "CommonSecurityLog",
        time_column: "TimeGenerated",
        shard_key: Some("SourceIP"),
        columns: &[
            time("TimeGenerated"),
            text("DeviceVendor"),
            text("DeviceProduct"),
            text("DeviceEventClassID"),
            text("Activity"),
            text("LogSeverity"),
            text("DeviceAction"),
            text("SimplifiedDeviceAction"),
            text("ApplicationProtocol"),
            text("Protocol"),
            text("SourceIP"),
            integer("SourcePort"),
            text("SourceUserName"),
            text("SourceHostName"),
            text("DestinationIP"),
            integer("DestinationPort"),
            text("DestinationHostName"),
            integer("SentBytes"),
            integer("ReceivedBytes"),
            text("RequestURL"),
            text("CommunicationDirection"),
            text("Message"),
            text("DeviceName"),
        ],
    },
    TableSpec {
        name: "OfficeActivity",
        time_column: "TimeGenerated",
        shard_key: Some("UserId"),
        columns: &[
            time("TimeGenerated"),
            text("OfficeId"),
            text("RecordType"),
            text("Operation"),
            text("OrganizationId"),
            text("UserType"),
            text("UserKey"),
            text("UserId"),
            text("OfficeWorkload"),
            text("ResultStatus"),
            text("OfficeObjectId"),
            text("ClientIP"),
            text("Client_IPAddress"),
            text("ActorIpAddress"),
            text("UserAgent"),
        ],
    },
    TableSpec {
        name: "AzureNetworkAnalytics_CL",
        time_column: "TimeGenerated",
        shard_key: Some("SrcIP"),
        columns: &[
            time("TimeGenerated"),
            time("FlowStartTime"),
            time("FlowEndTime"),
            text("VMName"),
            text("VMIPAddress"),
            text("PublicIPs"),
            text("SrcIP"),
            text("DestIP"),
            text("AllExtIPs"),
            text("L4Protocol"),
            text("L7Protocol"),
            integer("DestPort"),
            text("FlowDirection"),
            integer("AllowedOutFlows"),
            integer("AllowedInFlows"),
            text("FlowType"),
        ],
    },
];

const BLOB_COLUMNS: &[ColumnSpec] = &[
    time("TimeGenerated"),
    text("AccountName"),
    text("OperationName"),
    integer("RequestBodySize"),
    text("StatusCode"),
    text("CallerIpAddress"),
    text("Uri"),
];

impl TableSpec {
    /// The known table of that name.
    pub fn by_name(name: &str) -> Option<&'static TableSpec> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static ColumnSpec> {
        self.columns.iter().find(|column| column.name == name)
    }
}
