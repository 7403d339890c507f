#!/usr/bin/env python3
"""Thirteen analyses of the exfiltration and firewall suites as DuckDB queries, and queries that only decode their columns.

usage: duckdb_queries.py LAKE queries|floor [--threads 2]     runs them in a separate process; prints seconds by query as JSON
"""
import argparse
import json
import sys
import time

EXTERNAL = "NOT (" + " OR ".join(
    f"starts_with(DestinationIP, '{prefix}')"
    for prefix in ["10.", "192.168."] + [f"172.{part}." for part in range(16, 32)]
) + ")"
SECOND = "epoch_us(TimeGenerated) // 1000000"


def queries(lake):
    """The queries, by analysis."""
    firewall = f"(SELECT * FROM read_parquet('{lake}/CommonSecurityLog/*/*.parquet') WHERE DeviceVendor = 'Palo Alto Networks')"
    traffic = f"(SELECT * FROM {firewall} WHERE DeviceEventClassID = 'TRAFFIC')"
    processes = f"read_parquet('{lake}/DeviceProcessEvents/*/*.parquet')"
    files = f"read_parquet('{lake}/DeviceFileEvents/*/*.parquet')"
    network = f"read_parquet('{lake}/DeviceNetworkEvents/*/*.parquet')"
    audit = f"read_parquet('{lake}/AuditLogs/*/*.parquet')"
    return {
        "traffic_overview": f"SELECT DeviceEventClassID, SimplifiedDeviceAction, count(*) n FROM {firewall} GROUP BY ALL ORDER BY n DESC",
        "event_timeline": f"SELECT time_bucket(INTERVAL 15 MINUTE, TimeGenerated) t, DeviceEventClassID, count(*) FROM {firewall} GROUP BY ALL ORDER BY t",
        "top_talkers": f"SELECT SourceIP, DestinationIP, count(*) n, sum(SentBytes), sum(ReceivedBytes) FROM {traffic} GROUP BY ALL ORDER BY n DESC LIMIT 15",
        "port_usage": f"SELECT DestinationPort, Protocol, count(*) n FROM {traffic} GROUP BY ALL ORDER BY n DESC LIMIT 30",
        "beaconing": f"""
            WITH gaps AS (
                SELECT SourceIP, DestinationIP,
                       {SECOND} - lag({SECOND}) OVER (PARTITION BY SourceIP, DestinationIP ORDER BY TimeGenerated) gap
                FROM {firewall} WHERE DeviceEventClassID IN ('TRAFFIC', 'THREAT') AND {EXTERNAL})
            SELECT SourceIP, DestinationIP, avg(gap), stddev_samp(gap), min(gap), max(gap), count(*) n, stddev_samp(gap) / avg(gap) jitter
            FROM gaps WHERE gap > 0 GROUP BY ALL HAVING n >= 4 AND jitter < 0.5 ORDER BY jitter""",
        "dns_tunneling": f"""
            SELECT SourceIP, count(*) n, sum(SentBytes), sum(ReceivedBytes), avg(SentBytes) a, max(SentBytes), count(DISTINCT DestinationIP)
            FROM {firewall} WHERE DestinationPort = 53 OR contains(lower(ApplicationProtocol), 'dns')
            GROUP BY ALL HAVING n >= 3 ORDER BY a DESC""",
        "data_exfiltration": f"""
            SELECT SourceIP, DestinationIP, count(*), round(sum(SentBytes) / 1048576.0, 2) mb, round(sum(ReceivedBytes) / 1048576.0, 2),
                   max(SentBytes), min(TimeGenerated), max(TimeGenerated)
            FROM {traffic} WHERE {EXTERNAL} GROUP BY ALL HAVING mb > 1 ORDER BY mb DESC LIMIT 20""",
        "threat_breakdown": f"SELECT Activity, SimplifiedDeviceAction, LogSeverity, count(*) n FROM {firewall} WHERE DeviceEventClassID = 'THREAT' GROUP BY ALL ORDER BY n DESC",
        "attack_timeline": f"""
            SELECT TimeGenerated, DeviceEventClassID, Activity, SimplifiedDeviceAction, SourceIP, DestinationIP, DestinationPort,
                   SentBytes, ReceivedBytes, ApplicationProtocol, SourceUserName
            FROM {firewall} WHERE DeviceEventClassID = 'THREAT' OR SimplifiedDeviceAction IN ('Blocked', 'Dropped', 'Reset')
                OR SentBytes > 500000 OR (DestinationPort = 53 AND SentBytes > 512) ORDER BY TimeGenerated""",
        "compression_staging": rf"""
            WITH p AS (SELECT * FROM {processes} WHERE regexp_matches(lower(ProcessCommandLine), 'compress|zip|7z|rar|archive|tar')
                       AND NOT regexp_matches(lower(ProcessCommandLine), '(.*\\backup_agent\\.*zip)|(/usr/bin/tar .* /var/backups)')
                       AND lower(InitiatingProcessAccountName) <> 'backup-svc' AND lower(DeviceName) <> 'backup-server01'),
                 f AS (SELECT DeviceName, FileName, FolderPath, "Timestamp" staged FROM {files}
                       WHERE regexp_matches(lower(FolderPath), 'temp|\\staging|\\backup') AND regexp_matches(lower(FileName), '\.(zip|7z|rar|tar|gz|bz2)$')
                       AND NOT regexp_matches(lower(FolderPath), '(.*\\companybackup\\)|(/var/backups/.*)'))
            SELECT DeviceName, InitiatingProcessAccountName, ProcessCommandLine, "Timestamp", InitiatingProcessParentFileName, f.FileName, f.FolderPath, staged
            FROM p LEFT JOIN f USING (DeviceName)""",
        "cli_storage_uploads": f"""
            SELECT p."Timestamp", DeviceName, p.InitiatingProcessAccountName, ProcessCommandLine, RemoteUrl, BytesSent
            FROM (SELECT * FROM {processes} WHERE regexp_matches(lower(ProcessCommandLine), 'azcopy|az storage|aws s3|gsutil|rclone|scp')) p
            JOIN (SELECT * FROM {network} WHERE regexp_matches(lower(RemoteUrl), 'blob.core.windows.net|amazonaws.com|storage.googleapis.com|digitaloceanspaces.com')) n
            USING (DeviceName, InitiatingProcessId)""",
        "egress_spikes": f"""
            SELECT * FROM (
                SELECT *, sum(sent) OVER (PARTITION BY DeviceName ORDER BY sent_hour ROWS BETWEEN 23 PRECEDING AND CURRENT ROW) / 24 baseline
                FROM (SELECT DeviceName, date_trunc('hour', "Timestamp") sent_hour, sum(BytesSent) sent FROM {network} GROUP BY ALL))
            WHERE sent > 3 * baseline ORDER BY sent DESC""",
        "storage_audit": f"SELECT * FROM {audit} WHERE regexp_matches(lower(OperationName), 'storageaccounts|accesskeys|listkeys|setserviceproperties')",
    }

def floor(lake):
    """The columns that the analyses read, by table."""
    def decode(table, columns):
        return f"SELECT {', '.join(f'max({column})' for column in columns)} FROM read_parquet('{lake}/{table}/*/*.parquet')"
    columns = {
        "CommonSecurityLog": "TimeGenerated DeviceVendor DeviceEventClassID Activity LogSeverity SimplifiedDeviceAction ApplicationProtocol "
        "Protocol SourceIP SourceUserName DestinationIP DestinationPort SentBytes ReceivedBytes",
        "DeviceProcessEvents": '"Timestamp" DeviceName InitiatingProcessAccountName ProcessCommandLine InitiatingProcessId InitiatingProcessParentFileName',
        "DeviceFileEvents": '"Timestamp" DeviceName FileName FolderPath',
        "DeviceNetworkEvents": '"Timestamp" DeviceName InitiatingProcessId RemoteUrl BytesSent',
        "AuditLogs": "TimeGenerated OperationName",
    }
    return {table: decode(table, names.split()) for table, names in columns.items()}


def run(texts, threads):
    """Seconds by query. Rows are read in batches and dropped, so no result is held completely."""
    import duckdb
    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'")
    seconds = {}
    for name, text in texts.items():
        started = time.perf_counter()
        for _ in connection.sql(text).to_arrow_reader():
            pass
        seconds[name] = time.perf_counter() - started
    return seconds


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("lake")
    arguments.add_argument("which", choices=["queries", "floor"])
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    texts = queries(options.lake) if options.which == "queries" else floor(options.lake)
    json.dump(run(texts, options.threads), sys.stdout)


if __name__ == "__main__":
    main()
