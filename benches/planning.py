#!/usr/bin/env python3
"""Time, memory and requests of planning a scan of a Delta table with many files (needs pyarrow and deltalake).

    benches/planning.py BINARY [--dates 5000] [--files-per-date 20] [--commits 10] [--latency-ms 0]

The table, AuditLogs, is partitioned by date or not at all. Its log is a checkpoint with all files and some later commits of one file.
`scan --dry-run` plans the whole table, and its last seven days, at the store of requests.py. All data files are links to a small one.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

import measure
from requests import recount, serve

FIRST = datetime.date(2012, 5, 1)
# A file can have no more links on common file systems.
LINKS = 50_000
COLUMNS = ["OperationName", "ResultDescription", "InitiatedBy", "TargetResources"]


class Table:
    """A Delta table whose log is written here."""

    def __init__(self, folder, is_by_date):
        self.folder, self.is_by_date, self.files, self.size = folder, is_by_date, 0, 0
        os.makedirs(os.path.join(folder, "_delta_log"))

    def base(self):
        """A file that others can be links to."""
        path = os.path.join(self.folder, f"_base-{self.files // LINKS}")
        if not os.path.exists(path):
            times = pa.array([datetime.datetime(2026, 1, 5, 8, tzinfo=datetime.timezone.utc)], pa.timestamp("us", "UTC"))
            pq.write_table(pa.table({"TimeGenerated": times} | {name: ["x"] for name in COLUMNS}), path)
            self.size = os.path.getsize(path)
        return path

    def add(self, date):
        """A file of a date, and the action that adds it."""
        name = f"date={date}/part-{self.files:06}.parquet" if self.is_by_date else f"part-{self.files:06}.parquet"
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.link(self.base(), path)
        self.files += 1
        bounds = {"TimeGenerated": f"{date}T08:00:00.000Z"}
        stats = {"numRecords": 1, "minValues": bounds, "maxValues": bounds, "nullCount": {"TimeGenerated": 0}}
        return {"add": {
            "path": name,
            "partitionValues": {"date": str(date)} if self.is_by_date else {},
            "size": self.size,
            "modificationTime": 1_767_225_600_000 + self.files,
            "dataChange": True,
            "stats": json.dumps(stats),
        }}

    def commit(self, version, actions):
        with open(os.path.join(self.folder, "_delta_log", f"{version:020}.json"), "w", encoding="utf-8") as log:
            log.writelines(json.dumps(action) + "\n" for action in actions)


def write(folder, is_by_date, arguments):
    def field(name, kind):
        return {"name": name, "type": kind, "nullable": True, "metadata": {}}

    table = Table(folder, is_by_date)
    fields = [field("TimeGenerated", "timestamp")] + [field(name, "string") for name in COLUMNS]
    fields += [field("date", "date")] if is_by_date else []
    start = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {
            "id": "00000000-0000-0000-0000-000000000001",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": fields}),
            "partitionColumns": ["date"] if is_by_date else [],
            "configuration": {},
            "createdTime": 0,
        }},
    ]
    dates = [FIRST + datetime.timedelta(days=day) for day in range(arguments.dates)]
    table.commit(0, start + [table.add(date) for date in dates for _ in range(arguments.files_per_date)])
    DeltaTable(folder).create_checkpoint()
    for version in range(1, arguments.commits + 1):
        table.commit(version, [{"commitInfo": {"timestamp": 0}}, table.add(dates[-1])])


def plan(arguments, server, window):
    """Plans a scan; returns its resources and requests."""
    environment = recount(server)
    line = [arguments.binary, "scan", "--lake", "s3://lake", "--suite", "exfiltration", "--dry-run", *window]
    done = measure.run(line, environment=environment)
    if done.status:
        sys.exit(done.output + done.errors)
    return done, dict(server.counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--dates", type=int, default=5000)
    parser.add_argument("--files-per-date", type=int, default=20)
    parser.add_argument("--commits", type=int, default=10)
    parser.add_argument("--latency-ms", type=float, default=0)
    arguments = parser.parse_args()
    week = FIRST + datetime.timedelta(days=arguments.dates - 7)
    print("| partitions | window | LIST | GET | seconds | processor seconds | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for is_by_date in (True, False):
        with tempfile.TemporaryDirectory(prefix="hindcast-planning-") as lake:
            write(os.path.join(lake, "AuditLogs"), is_by_date, arguments)
            server = serve({"lake": lake}, arguments.latency_ms)
            for name, window in (("all", []), ("a week", ["--from", str(week)])):
                done, counts = plan(arguments, server, window)
                lists, gets = counts.get(("lake", "LIST"), 0), counts.get(("lake", "GET"), 0)
                numbers = f"{lists:,} | {gets:,} | {done.seconds:.1f} | {done.processor:.1f} | {done.peak:,.0f}"
                print(f"| {'date' if is_by_date else 'none'} | {name} | {numbers} |", flush=True)
            server.shutdown()


if __name__ == "__main__":
    main()
