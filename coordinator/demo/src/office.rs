//! The table OfficeActivity: operations of people and machines on mail, documents, chats and accounts.

use super::columns::{OrdinaryRows, Text, table};
use super::people::Person;
use super::rng::{SeededRng, mix, scale};
use super::world::World;

table! {
    /// A row of OfficeActivity.
    OfficeRow, OfficeColumns {
        time: "TimeGenerated",
        office_id: Text = "OfficeId",
        record_type: Text = "RecordType",
        operation: Text = "Operation",
        organization: Text = "OrganizationId",
        user_type: Text = "UserType",
        user_key: Text = "UserKey",
        user_id: Text = "UserId",
        workload: Text = "OfficeWorkload",
        result: Text = "ResultStatus",
        object: Text = "OfficeObjectId",
        parameters: Text = "Parameters",
        client: Text = "ClientIP",
        mail_client: Text = "Client_IPAddress",
        actor_address: Text = "ActorIpAddress",
        user_agent: Text = "UserAgent",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "OfficeActivity";
/// The tenant.
pub(crate) const ORGANIZATION: &str = "5f0a3c1e-8b7d-4c52-9e61-2d4b8a90c7f3";

/// An operation, as in the log.
pub struct Operation {
    pub record_type: &'static str,
    pub name: &'static str,
    pub(crate) workload: &'static str,
    pub result: Option<&'static str>,
}

const fn mail(record_type: &'static str, name: &'static str) -> Operation {
    Operation { record_type, name, workload: "Exchange", result: Some("Succeeded") }
}

const fn document(name: &'static str) -> Operation {
    Operation { record_type: "SharePointFileOperation", name, workload: "SharePoint", result: None }
}

const fn chat(name: &'static str) -> Operation {
    Operation { record_type: "MicrosoftTeams", name, workload: "MicrosoftTeams", result: None }
}

pub(crate) const MAIL_READ: Operation = mail("ExchangeItemAggregated", "MailItemsAccessed");
pub(crate) const MAIL_SENT: Operation = mail("ExchangeItem", "Send");
const MAILBOX_OPENED: Operation = mail("ExchangeItem", "MailboxLogin");
pub(crate) const INBOX_RULE: Operation = Operation {
    record_type: "ExchangeAdmin",
    name: "New-InboxRule",
    workload: "Exchange",
    result: Some("True"),
};
pub(crate) const FILE_READ: Operation = document("FileAccessed");
pub(crate) const FILE_CHANGED: Operation = document("FileModified");
pub(crate) const FILE_DOWNLOADED: Operation = document("FileDownloaded");
const FILE_UPLOADED: Operation = document("FileUploaded");
pub(crate) const LOGGED_IN: Operation = Operation {
    record_type: "AzureActiveDirectoryStsLogon",
    name: "UserLoggedIn",
    workload: "AzureActiveDirectory",
    result: Some("Success"),
};
const CHAT_OPENED: Operation = chat("TeamsSessionStarted");
const CHAT_SENT: Operation = chat("MessageSent");

/// Programs that work on documents without a browser.
const DOCUMENT_AGENTS: [&str; 2] = [
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Word 16.0.18227; Pro)",
    "Microsoft SkyDriveSync 24.226.1110.0004 ship; Windows NT 10.0 (19045)",
];
const CHAT_AGENT: &str = "Teams/24.295 (Windows NT 10.0)";
/// One row in this many is a mail rule; one row in the other many is from a machine or an administrator.
const ROWS_PER_INBOX_RULE: u64 = 500;
/// What an ordinary mail rule does.
const SORTING_RULE: &str =
    r#"[{"Name":"From","Value":"news@letters.example"},{"Name":"MoveToFolder","Value":"Newsletters"}]"#;
const ROWS_PER_MACHINE_ROW: u64 = 64;
/// User type, name, record type, operation, workload and result.
type MachineRow =
    (&'static str, &'static str, &'static str, &'static str, &'static str, Option<&'static str>);
/// Rows that are not from regular users.
const MACHINES: [MachineRow; 5] = [
    ("System", "DlpPolicyEventBasedAssistant", "ComplianceDLPSharePoint", "DLPRuleMatch", "OneDrive", None),
    ("System", "app@sharepoint", "SharePoint", "ListUpdated", "SharePoint", None),
    ("Admin", "NT AUTHORITY\\SYSTEM (w3wp)", "ExchangeAdmin", "Set-Mailbox", "Exchange", Some("True")),
    ("Admin", "m365-admin@corp.example", "ExchangeAdmin", "Set-MailboxPlan", "Exchange", Some("True")),
    (
        "ServicePrincipal",
        "ServicePrincipal_41c0e9d2",
        "AzureActiveDirectory",
        "Update application.",
        "AzureActiveDirectory",
        Some("Success"),
    ),
];
const LIBRARIES: [&str; 6] = ["finance", "hr", "engineering", "sales", "legal", "operations"];

/// Documents of ordinary rows.
pub(crate) struct OfficeDocuments {
    urls: Vec<String>,
}

impl OfficeDocuments {
    /// The documents for a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed, 0, "office documents");
        let urls = (0..400).map(|_| document_url(&mut rng)).collect();
        Self { urls }
    }
}

/// The address of a random document.
pub(crate) fn document_url(rng: &mut SeededRng) -> String {
    let kind = rng.pick(&["report", "budget", "contract", "roadmap", "minutes"]);
    let ending = rng.pick(&["docx", "xlsx", "pptx", "pdf"]);
    let library = rng.pick(&LIBRARIES);
    format!(
        "https://corp.sharepoint.example/sites/{library}/Shared Documents/{kind}-{}.{ending}",
        rng.below(9_000)
    )
}

/// A row's identifier from random bits.
pub(crate) fn office_id(rng: &mut SeededRng) -> String {
    let (high, low) = (rng.bits(), rng.bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        low >> 52,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// The ordinary rows of OfficeActivity for one day.
pub(crate) struct OfficeDay<'a> {
    pub world: &'a World,
    pub documents: &'a OfficeDocuments,
    pub rng: SeededRng,
    /// Midnight of the day, in microseconds since 1970 UTC.
    pub(crate) midnight_us: i64,
}

impl OrdinaryRows for OfficeDay<'_> {
    type Columns = OfficeColumns;

    fn push(&mut self, number: u64, columns: &mut OfficeColumns) {
        let office_id = office_id(&mut self.rng);
        let moment_us = self.world.working_day.at(self.rng.bits() as u32) as i64;
        let mut row = OfficeRow {
            time: self.midnight_us + moment_us,
            office_id: Some(office_id.as_str()),
            organization: Some(ORGANIZATION),
            ..OfficeRow::default()
        };
        if number % ROWS_PER_MACHINE_ROW == ROWS_PER_MACHINE_ROW - 1 {
            self.set_machine(&mut row);
        } else {
            self.set_person(&mut row, number, moment_us);
        }
        columns.push(&row);
    }
}

impl<'a> OfficeDay<'a> {
    fn set_person<'row>(&mut self, row: &mut OfficeRow<&'row str>, number: u64, moment_us: i64)
    where
        'a: 'row,
    {
        let people = &self.world.people;
        let place = self.rng.below(people.len());
        let person = &people[place];
        let bits = self.rng.bits();
        let operation = if number % ROWS_PER_INBOX_RULE == ROWS_PER_INBOX_RULE / 2 {
            &INBOX_RULE
        } else {
            operation(bits & 0x3FF)
        };
        row.record_type = Some(operation.record_type);
        row.operation = Some(operation.name);
        row.parameters = (operation.name == INBOX_RULE.name).then_some(SORTING_RULE);
        row.workload = Some(operation.workload);
        row.result = operation.result;
        row.user_type = Some("Regular");
        let is_mail = operation.workload == "Exchange";
        row.user_key = Some(if is_mail { &person.key } else { &person.membership_key });
        row.user_id = Some(if bits >> 10 & 15 == 0 || is_mail && bits >> 14 & 3 == 0 {
            &person.user_id_as_written
        } else {
            &person.user_id
        });
        self.set_address(row, person, operation, (bits >> 16, self.is_at_office(place, moment_us)));
        self.set_object_and_agent(row, person, operation, bits >> 40);
    }

    /// People spend two days of three at the office, from eight to six. A person is at one place at any time.
    fn is_at_office(&self, place: usize, moment_us: i64) -> bool {
        let hour = moment_us / 3_600_000_000;
        (8..18).contains(&hour) && !mix(place as u64 ^ self.midnight_us as u64).is_multiple_of(3)
    }

    fn set_address<'row>(
        &mut self,
        row: &mut OfficeRow<&'row str>,
        person: &'a Person,
        operation: &Operation,
        (bits, is_at_office): (u64, bool),
    ) where
        'a: 'row,
    {
        let address = if is_at_office { &person.office } else { &person.home };
        let with_port = address.with_port(&mut self.rng);
        match operation.workload {
            "Exchange" if operation.record_type == "ExchangeAdmin" => {
                row.client = Some(with_port);
                row.mail_client = Some("");
            }
            "Exchange" => {
                row.mail_client = Some(if bits & 7 == 0 { with_port } else { &address.plain });
                row.client = [None, Some(""), row.mail_client, row.mail_client][(bits >> 3 & 3) as usize];
            }
            _ => {
                row.client = Some(&address.plain);
                row.mail_client = [None, Some(""), Some("<null>"), None][(bits >> 3 & 3) as usize];
            }
        }
        if operation.workload == "AzureActiveDirectory" {
            row.actor_address = row.client;
        }
        // Some rows have no client address: all of them have the same operation, otherwise they would be rare combinations.
        if operation.name == MAIL_READ.name && bits >> 5 & 31 == 0 {
            row.client = Some("<null>");
            row.mail_client = Some("");
            row.actor_address = None;
        }
    }

    fn set_object_and_agent<'row>(
        &mut self,
        row: &mut OfficeRow<&'row str>,
        person: &'a Person,
        operation: &Operation,
        bits: u64,
    ) where
        'a: 'row,
    {
        match operation.workload {
            "SharePoint" => {
                let urls = &self.documents.urls;
                row.object = Some(&urls[scale(self.rng.bits() as u32, urls.len())]);
                row.user_agent = Some(match bits & 3 {
                    0 => DOCUMENT_AGENTS[(bits >> 2 & 1) as usize],
                    _ => person.browser,
                });
            }
            "AzureActiveDirectory" => row.user_agent = Some(person.browser),
            "MicrosoftTeams" => row.user_agent = Some(CHAT_AGENT),
            // Mail products name their client in another column.
            _ => row.user_agent = None,
        }
    }

    fn set_machine(&mut self, row: &mut OfficeRow<&str>) {
        let (user_type, user, record_type, operation, workload, result) = *self.rng.pick(&MACHINES);
        row.user_type = Some(user_type);
        row.user_id = Some(user);
        row.user_key = Some(user);
        row.record_type = Some(record_type);
        row.operation = Some(operation);
        row.workload = Some(workload);
        row.result = result;
        row.client = Some(if user_type == "Admin" { "::1" } else { "" });
    }
}

/// The operation for a share (0-1023).
fn operation(share: u64) -> &'static Operation {
    match share {
        0..250 => &FILE_READ,
        250..350 => &FILE_CHANGED,
        350..400 => &FILE_DOWNLOADED,
        400..440 => &FILE_UPLOADED,
        440..660 => &MAIL_READ,
        660..720 => &MAILBOX_OPENED,
        720..810 => &MAIL_SENT,
        810..930 => &LOGGED_IN,
        930..970 => &CHAT_OPENED,
        _ => &CHAT_SENT,
    }
}
