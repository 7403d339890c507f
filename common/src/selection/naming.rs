//! Which columns of which table name whom, and how.

use crate::entities::EntityKind;
use crate::entities::EntityKind::{Device, Ip, User};

/// How a column's text names an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The whole text is the name, in any of its forms.
    Is,
    /// A word of the text is the name: lists, and JSON read as text.
    Mentions,
    /// As [`Form::Is`], or the text contains the term that was asked for: cloud accounts carry it in longer ids.
    Contains,
}

/// When a name in a column makes a row an entity's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It names the entity itself. A table that has such a column of the entity's kind is not asked for tied names.
    Own,
    /// As `Own`, but logs leave it empty where they don't know: tied names count in rows that do.
    OwnWhereKnown,
    /// As `Own`, in rows where this other column is empty.
    OwnUnless(&'static str),
    /// It may hold a name that is tied to the entity on the row's day, where the table has none of the entity's own kind.
    Tied,
    /// It may hold an address the user was seen at in the cloud, on any day of the window.
    UsersAddress,
}

/// A column that names entities.
#[derive(Debug)]
pub(crate) struct Naming {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) kind: EntityKind,
    pub(crate) form: Form,
    pub(crate) role: Role,
}

const fn naming(
    table: &'static str,
    column: &'static str,
    kind: EntityKind,
    form: Form,
    role: Role,
) -> Naming {
    Naming { table, column, kind, form, role }
}

/// Every column that names entities, by what it may be asked for.
///
/// A firewall's `DeviceName` is the firewall, and `DestinationHostName` is often a web site's: neither names a device.
pub(crate) static NAMINGS: &[Naming] = &[
    naming("DeviceFileEvents", "DeviceName", Device, Form::Is, Role::Own),
    naming("DeviceFileEvents", "DeviceName", Device, Form::Is, Role::Tied),
    naming("DeviceFileEvents", "InitiatingProcessAccountName", User, Form::Is, Role::Own),
    naming("DeviceProcessEvents", "DeviceName", Device, Form::Is, Role::Own),
    naming("DeviceProcessEvents", "DeviceName", Device, Form::Is, Role::Tied),
    naming("DeviceProcessEvents", "InitiatingProcessAccountName", User, Form::Is, Role::Own),
    naming("DeviceNetworkEvents", "DeviceName", Device, Form::Is, Role::Own),
    naming("DeviceNetworkEvents", "InitiatingProcessAccountName", User, Form::Is, Role::Own),
    naming("DeviceNetworkEvents", "LocalIP", Ip, Form::Is, Role::Own),
    naming("DeviceNetworkEvents", "RemoteIP", Ip, Form::Is, Role::Own),
    naming("StorageBlobLogs", "CallerIpAddress", Ip, Form::Is, Role::Own),
    naming("StorageBlobLogs", "CallerIpAddress", Ip, Form::Is, Role::Tied),
    naming("BlobServiceLogs", "CallerIpAddress", Ip, Form::Is, Role::Own),
    naming("BlobServiceLogs", "CallerIpAddress", Ip, Form::Is, Role::Tied),
    naming("AuditLogs", "InitiatedBy", Device, Form::Mentions, Role::Own),
    naming("AuditLogs", "TargetResources", Device, Form::Mentions, Role::Own),
    naming("AuditLogs", "InitiatedBy", User, Form::Mentions, Role::Own),
    naming("AuditLogs", "TargetResources", User, Form::Mentions, Role::Own),
    naming("AuditLogs", "InitiatedBy", Ip, Form::Mentions, Role::Own),
    naming("AuditLogs", "TargetResources", Ip, Form::Mentions, Role::Own),
    naming("CommonSecurityLog", "SourceHostName", Device, Form::Is, Role::OwnWhereKnown),
    naming("CommonSecurityLog", "SourceUserName", User, Form::Is, Role::OwnWhereKnown),
    naming("CommonSecurityLog", "SourceIP", Ip, Form::Is, Role::Own),
    naming("CommonSecurityLog", "SourceIP", Ip, Form::Is, Role::Tied),
    naming("CommonSecurityLog", "DestinationIP", Ip, Form::Is, Role::Own),
    naming("CommonSecurityLog", "DestinationIP", Ip, Form::Is, Role::Tied),
    naming("OfficeActivity", "UserId", User, Form::Contains, Role::Own),
    naming("OfficeActivity", "UserKey", User, Form::Contains, Role::Own),
    naming("OfficeActivity", "ClientIP", Ip, Form::Is, Role::Own),
    naming("OfficeActivity", "ClientIP", Ip, Form::Is, Role::Tied),
    naming("OfficeActivity", "Client_IPAddress", Ip, Form::Is, Role::Own),
    naming("OfficeActivity", "Client_IPAddress", Ip, Form::Is, Role::Tied),
    naming("OfficeActivity", "ActorIpAddress", Ip, Form::Is, Role::Own),
    naming("AzureNetworkAnalytics_CL", "VMName", Device, Form::Is, Role::Own),
    naming("AzureNetworkAnalytics_CL", "VMName", Device, Form::Is, Role::Tied),
    naming("AzureNetworkAnalytics_CL", "VMIPAddress", Ip, Form::Is, Role::Own),
    naming("AzureNetworkAnalytics_CL", "VMIPAddress", Ip, Form::Is, Role::Tied),
    naming("AzureNetworkAnalytics_CL", "SrcIP", Ip, Form::Is, Role::Own),
    naming("AzureNetworkAnalytics_CL", "SrcIP", Ip, Form::Is, Role::Tied),
    naming("AzureNetworkAnalytics_CL", "DestIP", Ip, Form::Is, Role::Own),
    naming("AzureNetworkAnalytics_CL", "DestIP", Ip, Form::Is, Role::Tied),
    naming("AzureNetworkAnalytics_CL", "DestIP", Ip, Form::Is, Role::UsersAddress),
    naming("AzureNetworkAnalytics_CL", "AllExtIPs", Ip, Form::Mentions, Role::Own),
    naming("AzureNetworkAnalytics_CL", "AllExtIPs", Ip, Form::Mentions, Role::UsersAddress),
    // The addresses of all rows made of one, where rows were made for each.
    naming("AzureNetworkAnalytics_CL", "PublicIPs", Ip, Form::Mentions, Role::OwnUnless("AllExtIPs")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ColumnKind, TABLES, TableSpec};

    #[test]
    fn every_naming_is_of_a_text_column_there_is_and_every_table_names_someone() {
        for naming in NAMINGS {
            let column = TableSpec::by_name(naming.table).and_then(|spec| spec.column(naming.column));
            assert!(column.is_some_and(|column| column.kind == ColumnKind::Text), "{naming:?}");
        }
        for spec in TABLES {
            assert!(NAMINGS.iter().any(|naming| naming.table == spec.name), "{}", spec.name);
        }
    }
}
