//! The columns that name entities, by table, and how they name them.

use hindcast_base::entities::EntityKind;
use hindcast_base::entities::EntityKind::{Device, Ip, User};

/// How the text of a column names an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The whole text is a form of the name.
    Is,
    /// A word of the text is the name: for lists, and for JSON read as text.
    Mentions,
    /// Like [`Form::Is`], or the text contains the requested name: longer ids of cloud accounts contain it.
    Contains,
}

/// The condition under which a name in a column makes a row an entity's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It names the entity itself. A table with such a column of the entity's kind is not searched for related names.
    Own,
    /// Like `Own`, but logs leave it empty if the name is unknown: in those rows related names count.
    OwnWhereKnown,
    /// Like `Own`, in rows where this other column is empty.
    OwnUnless(&'static str),
    /// It may hold a name that is related to the entity on the row's day. It counts if the table has no column of the entity's
    /// own kind.
    Related,
    /// It may hold an address from which the user was seen in the cloud, on any day of the window.
    UsersAddress,
}

/// A column that names entities.
#[derive(Debug)]
pub struct EntityColumn {
    pub table: &'static str,
    pub column: &'static str,
    pub kind: EntityKind,
    pub form: Form,
    pub role: Role,
}

const fn column(
    table: &'static str,
    column: &'static str,
    kind: EntityKind,
    form: Form,
    role: Role,
) -> EntityColumn {
    EntityColumn { table, column, kind, form, role }
}

/// All columns that name entities, with their roles.
///
/// A firewall's `DeviceName` is the firewall itself, and `DestinationHostName` is often a web site: neither names a device.
pub(crate) static ENTITY_COLUMNS: &[EntityColumn] = &[
    column("DeviceFileEvents", "DeviceName", Device, Form::Is, Role::Own),
    column("DeviceFileEvents", "DeviceName", Device, Form::Is, Role::Related),
    column("DeviceFileEvents", "InitiatingProcessAccountName", User, Form::Is, Role::Own),
    column("DeviceProcessEvents", "DeviceName", Device, Form::Is, Role::Own),
    column("DeviceProcessEvents", "DeviceName", Device, Form::Is, Role::Related),
    column("DeviceProcessEvents", "InitiatingProcessAccountName", User, Form::Is, Role::Own),
    column("DeviceNetworkEvents", "DeviceName", Device, Form::Is, Role::Own),
    column("DeviceNetworkEvents", "InitiatingProcessAccountName", User, Form::Is, Role::Own),
    column("DeviceNetworkEvents", "LocalIP", Ip, Form::Is, Role::Own),
    column("DeviceNetworkEvents", "RemoteIP", Ip, Form::Is, Role::Own),
    column("StorageBlobLogs", "CallerIpAddress", Ip, Form::Is, Role::Own),
    column("StorageBlobLogs", "CallerIpAddress", Ip, Form::Is, Role::Related),
    column("BlobServiceLogs", "CallerIpAddress", Ip, Form::Is, Role::Own),
    column("BlobServiceLogs", "CallerIpAddress", Ip, Form::Is, Role::Related),
    column("AuditLogs", "InitiatedBy", Device, Form::Mentions, Role::Own),
    column("AuditLogs", "TargetResources", Device, Form::Mentions, Role::Own),
    column("AuditLogs", "InitiatedBy", User, Form::Mentions, Role::Own),
    column("AuditLogs", "TargetResources", User, Form::Mentions, Role::Own),
    column("AuditLogs", "InitiatedBy", Ip, Form::Mentions, Role::Own),
    column("AuditLogs", "TargetResources", Ip, Form::Mentions, Role::Own),
    column("CommonSecurityLog", "SourceHostName", Device, Form::Is, Role::OwnWhereKnown),
    column("CommonSecurityLog", "SourceUserName", User, Form::Is, Role::OwnWhereKnown),
    column("CommonSecurityLog", "SourceIP", Ip, Form::Is, Role::Own),
    column("CommonSecurityLog", "SourceIP", Ip, Form::Is, Role::Related),
    column("CommonSecurityLog", "DestinationIP", Ip, Form::Is, Role::Own),
    column("CommonSecurityLog", "DestinationIP", Ip, Form::Is, Role::Related),
    column("OfficeActivity", "UserId", User, Form::Contains, Role::Own),
    column("OfficeActivity", "UserKey", User, Form::Contains, Role::Own),
    column("OfficeActivity", "ClientIP", Ip, Form::Is, Role::Own),
    column("OfficeActivity", "ClientIP", Ip, Form::Is, Role::Related),
    column("OfficeActivity", "Client_IPAddress", Ip, Form::Is, Role::Own),
    column("OfficeActivity", "Client_IPAddress", Ip, Form::Is, Role::Related),
    column("OfficeActivity", "ActorIpAddress", Ip, Form::Is, Role::Own),
    column("AzureNetworkAnalytics_CL", "VMName", Device, Form::Is, Role::Own),
    column("AzureNetworkAnalytics_CL", "VMName", Device, Form::Is, Role::Related),
    column("AzureNetworkAnalytics_CL", "VMIPAddress", Ip, Form::Is, Role::Own),
    column("AzureNetworkAnalytics_CL", "VMIPAddress", Ip, Form::Is, Role::Related),
    column("AzureNetworkAnalytics_CL", "SrcIP", Ip, Form::Is, Role::Own),
    column("AzureNetworkAnalytics_CL", "SrcIP", Ip, Form::Is, Role::Related),
    column("AzureNetworkAnalytics_CL", "DestIP", Ip, Form::Is, Role::Own),
    column("AzureNetworkAnalytics_CL", "DestIP", Ip, Form::Is, Role::Related),
    column("AzureNetworkAnalytics_CL", "DestIP", Ip, Form::Is, Role::UsersAddress),
    column("AzureNetworkAnalytics_CL", "AllExtIPs", Ip, Form::Mentions, Role::Own),
    column("AzureNetworkAnalytics_CL", "AllExtIPs", Ip, Form::Mentions, Role::UsersAddress),
    // One record with several addresses becomes several rows, and each has the addresses of all.
    column("AzureNetworkAnalytics_CL", "PublicIPs", Ip, Form::Mentions, Role::OwnUnless("AllExtIPs")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnKind, TABLES, TableSpec};

    #[test]
    fn every_entity_column_is_a_known_text_column_and_every_table_has_one() {
        for entity_column in ENTITY_COLUMNS {
            let column =
                TableSpec::by_name(entity_column.table).and_then(|spec| spec.column(entity_column.column));
            assert!(column.is_some_and(|column| column.kind == ColumnKind::Text), "{entity_column:?}");
        }
        for spec in TABLES {
            assert!(
                ENTITY_COLUMNS.iter().any(|entity_column| entity_column.table == spec.name),
                "{}",
                spec.name
            );
        }
    }
}
