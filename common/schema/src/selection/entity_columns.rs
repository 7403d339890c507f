//! How columns name entities. The file of each table declares its columns that do.

use hindcast_base::entities::EntityKind;

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

/// A column that names entities. The file of its table declares it.
///
/// A firewall's `DeviceName` is the firewall itself, and `DestinationHostName` is often a web site: neither names a device.
#[derive(Debug)]
pub struct EntityColumn {
    /// The column.
    pub column: &'static str,
    /// The kind of the entities.
    pub kind: EntityKind,
    /// How its text names them.
    pub form: Form,
    /// When a name in it makes a row an entity's.
    pub role: Role,
}
