#!/usr/bin/env python3
"""Both suites by Hindcast against the same thirteen analyses in DuckDB, in turn, on one lake, without a cache.

usage: peer.py HINDCAST [--rounds 5] [--threads 2] [--lake DIR]

Each round runs, one after the other: hindcast with the default preset, hindcast with the notebook preset, the thirteen
queries, and a query that only decodes the columns once (the floor). Times are wall clock: of the whole process for
Hindcast, results written; of the queries alone for DuckDB. Printed are medians and ratios round by round.
"""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import duckdb
except ImportError:
    sys.exit("this needs DuckDB: pip install peer.pyarrow")

arguments = argparse.ArgumentParser()
arguments.add_argument("hindcast")
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--lake")
options = arguments.parse_args()

work = Path(tempfile.mkdtemp(prefix="hindcast-bench-"))
lake = Path(options.lake) if options.lake else work / "lake"
if not lake.exists():
    demo = [options.hindcast, "demo", str(lake), "--days", "3", "--rows-per-day", "1800000"]
    subprocess.run(demo, check=True, stderr=subprocess.DEVNULL)

FIREWALL = f"(SELECT * FROM read_parquet('{lake}/CommonSecurityLog/*/*.parquet') WHERE DeviceVendor = 'Palo Alto Networks')"
TRAFFIC = f"(SELECT * FROM {FIREWALL} WHERE DeviceEventClassID = 'TRAFFIC')"
EXTERNAL = "NOT (" + " OR ".join(
    f"starts_with(DestinationIP, '{prefix}')"
    for prefix in ["10.", "192.168."] + [f"172.{part}." for part in range(16, 32)]
) + ")"
PROCESSES = f"read_parquet('{lake}/DeviceProcessEvents/*/*.parquet')"
FILES = f"read_parquet('{lake}/DeviceFileEvents/*/*.parquet')"
NETWORK = f"read_parquet('{lake}/DeviceNetworkEvents/*/*.parquet')"
AUDIT = f"read_parquet('{lake}/AuditLogs/*/*.parquet')"
SECOND = "epoch_us(TimeGenerated) // 1000000"

QUERIES = {
    "traffic_overview": f"SELECT DeviceEventClassID, SimplifiedDeviceAction, count(*) n FROM {FIREWALL} GROUP BY ALL ORDER BY n DESC",
    "event_timeline": f"SELECT time_bucket(INTERVAL 15 MINUTE, TimeGenerated) t, DeviceEventClassID, count(*) FROM {FIREWALL} GROUP BY ALL ORDER BY t",
    "top_talkers": f"SELECT SourceIP, DestinationIP, count(*) n, sum(SentBytes), sum(ReceivedBytes) FROM {TRAFFIC} GROUP BY ALL ORDER BY n DESC LIMIT 15",
    "port_usage": f"SELECT DestinationPort, Protocol, count(*) n FROM {TRAFFIC} GROUP BY ALL ORDER BY n DESC LIMIT 30",
    "beaconing": f"""
        WITH gaps AS (
            SELECT SourceIP, DestinationIP,
                   {SECOND} - lag({SECOND}) OVER (PARTITION BY SourceIP, DestinationIP ORDER BY TimeGenerated) gap
            FROM {FIREWALL} WHERE DeviceEventClassID IN ('TRAFFIC', 'THREAT') AND {EXTERNAL})
        SELECT SourceIP, DestinationIP, avg(gap), stddev_samp(gap), min(gap), max(gap), count(*) n, stddev_samp(gap) / avg(gap) jitter
        FROM gaps WHERE gap > 0 GROUP BY ALL HAVING n >= 4 AND jitter < 0.5 ORDER BY jitter""",
    "dns_tunneling": f"""
        SELECT SourceIP, count(*) n, sum(SentBytes), sum(ReceivedBytes), avg(SentBytes) a, max(SentBytes), count(DISTINCT DestinationIP)
        FROM {FIREWALL} WHERE DestinationPort = 53 OR contains(lower(ApplicationProtocol), 'dns')
        GROUP BY ALL HAVING n >= 3 ORDER BY a DESC""",
    "data_exfiltration": f"""
        SELECT SourceIP, DestinationIP, count(*), round(sum(SentBytes) / 1048576.0, 2) mb, round(sum(ReceivedBytes) / 1048576.0, 2),
               max(SentBytes), min(TimeGenerated), max(TimeGenerated)
        FROM {TRAFFIC} WHERE {EXTERNAL} GROUP BY ALL HAVING mb > 1 ORDER BY mb DESC LIMIT 20""",
    "threat_breakdown": f"SELECT Activity, SimplifiedDeviceAction, LogSeverity, count(*) n FROM {FIREWALL} WHERE DeviceEventClassID = 'THREAT' GROUP BY ALL ORDER BY n DESC",
    "attack_timeline": f"""
        SELECT TimeGenerated, DeviceEventClassID, Activity, SimplifiedDeviceAction, SourceIP, DestinationIP, DestinationPort,
               SentBytes, ReceivedBytes, ApplicationProtocol, SourceUserName
        FROM {FIREWALL} WHERE DeviceEventClassID = 'THREAT' OR SimplifiedDeviceAction IN ('Blocked', 'Dropped', 'Reset')
            OR SentBytes > 500000 OR (DestinationPort = 53 AND SentBytes > 512) ORDER BY TimeGenerated""",
    "compression_staging": rf"""
        WITH p AS (SELECT * FROM {PROCESSES} WHERE regexp_matches(lower(ProcessCommandLine), 'compress|zip|7z|rar|archive|tar')
                   AND NOT regexp_matches(lower(ProcessCommandLine), '(.*\\backup_agent\\.*zip)|(/usr/bin/tar .* /var/backups)')
                   AND lower(InitiatingProcessAccountName) <> 'backup-svc' AND lower(DeviceName) <> 'backup-server01'),
             f AS (SELECT DeviceName, FileName, FolderPath, "Timestamp" staged FROM {FILES}
                   WHERE regexp_matches(lower(FolderPath), 'temp|\\staging|\\backup') AND regexp_matches(lower(FileName), '\.(zip|7z|rar|tar|gz|bz2)$')
                   AND NOT regexp_matches(lower(FolderPath), '(.*\\companybackup\\)|(/var/backups/.*)'))
        SELECT DeviceName, InitiatingProcessAccountName, ProcessCommandLine, "Timestamp", InitiatingProcessParentFileName, f.FileName, f.FolderPath, staged
        FROM p LEFT JOIN f USING (DeviceName)""",
    "cli_storage_uploads": f"""
        SELECT p."Timestamp", DeviceName, p.InitiatingProcessAccountName, ProcessCommandLine, RemoteUrl, BytesSent
        FROM (SELECT * FROM {PROCESSES} WHERE regexp_matches(lower(ProcessCommandLine), 'azcopy|az storage|aws s3|gsutil|rclone|scp')) p
        JOIN (SELECT * FROM {NETWORK} WHERE regexp_matches(lower(RemoteUrl), 'blob.core.windows.net|amazonaws.com|storage.googleapis.com|digitaloceanspaces.com')) n
        USING (DeviceName, InitiatingProcessId)""",
    "egress_spikes": f"""
        SELECT * FROM (
            SELECT *, sum(sent) OVER (PARTITION BY DeviceName ORDER BY sent_hour ROWS BETWEEN 23 PRECEDING AND CURRENT ROW) / 24 baseline
            FROM (SELECT DeviceName, date_trunc('hour', "Timestamp") sent_hour, sum(BytesSent) sent FROM {NETWORK} GROUP BY ALL))
        WHERE sent > 3 * baseline ORDER BY sent DESC""",
    "storage_audit": f"SELECT * FROM {AUDIT} WHERE regexp_matches(lower(OperationName), 'storageaccounts|accesskeys|listkeys|setserviceproperties')",
}


def decode(table, columns):
    return f"SELECT {', '.join(f'max({column})' for column in columns)} FROM read_parquet('{lake}/{table}/*/*.parquet')"


FLOOR = [
    decode("CommonSecurityLog", "TimeGenerated DeviceVendor DeviceEventClassID Activity LogSeverity SimplifiedDeviceAction ApplicationProtocol "
           "Protocol SourceIP SourceUserName DestinationIP DestinationPort SentBytes ReceivedBytes".split()),
    decode("DeviceProcessEvents", '"Timestamp" DeviceName InitiatingProcessAccountName ProcessCommandLine InitiatingProcessId InitiatingProcessParentFileName'.split()),
    decode("DeviceFileEvents", '"Timestamp" DeviceName FileName FolderPath'.split()),
    decode("DeviceNetworkEvents", '"Timestamp" DeviceName InitiatingProcessId RemoteUrl BytesSent'.split()),
    decode("AuditLogs", "TimeGenerated OperationName".split()),
]


def in_duckdb(queries):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {options.threads}; SET TimeZone = 'UTC'")
    seconds = 0.0
    for query in queries:
        started = time.perf_counter()
        connection.sql(query).to_arrow_table()
        seconds += time.perf_counter() - started
    return seconds


def in_hindcast(preset):
    command = [options.hindcast, "scan", "--lake", str(lake), "--suite", "exfiltration,firewall",
               "--out", str(work / "out"), "--no-cache", "--quiet", "--preset", preset, "--threads", str(options.threads)]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


rounds = []
for number in range(options.rounds + 1):
    times = {
        "hindcast, default preset": in_hindcast("default"),
        "hindcast, notebook preset": in_hindcast("notebook"),
        "duckdb, 13 queries": in_duckdb(QUERIES.values()),
        "duckdb, decoding only": in_duckdb(FLOOR),
    }
    if number > 0:  # the first round warms the page cache
        rounds.append(times)

for name in rounds[0]:
    values = sorted(times[name] for times in rounds)
    print(f"{name:<28} {values[0]:7.2f} {statistics.median(values):7.2f} {values[-1]:7.2f} s (min, median, max)")
for preset in ("default", "notebook"):
    mine = f"hindcast, {preset} preset"
    for other in ("duckdb, 13 queries", "duckdb, decoding only"):
        ratio = statistics.median(times[mine] / times[other] for times in rounds)
        print(f"{mine} / {other}: {ratio:.2f}")
