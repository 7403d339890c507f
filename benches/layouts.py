#!/usr/bin/env python3
"""Time and requests of planning a table of many dates in each layout of folders (needs pyarrow).

    benches/layouts.py BINARY [--dates 5000] [--latency-ms 0]

Each lake has one small file of AuditLogs per date. `scan --dry-run` plans the whole lake, and its last seven days, at the store of requests.py.
"""

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq

from requests import recount, serve

FIRST = datetime.date(2012, 5, 1)
LAYOUTS = {
    "date=%Y-%m-%d": "date=%Y-%m-%d",
    "dt=%Y%m%d": "dt=%Y%m%d",
    "region=*/accountId=*/eventDay=%Y%m%d": "region=eu/accountId=1/eventDay=%Y%m%d",
    "timestamp=%Y-%m-%dT%H": "timestamp=%Y-%m-%dT08",
    "year=%Y/month=%m/day=%d": "year=%Y/month=%m/day=%d",
    "y=%Y/m=%m/d=%d/h=%H/m=%M": "y=%Y/m=%m/d=%d/h=08/m=00",
    "flat": ".",
}


def write(lake, folder, dates):
    """Writes a lake with one file per date, in the folder that `folder` gives as a format of the date."""
    for number, date in enumerate(FIRST + datetime.timedelta(days=day) for day in range(dates)):
        place = os.path.join(lake, "AuditLogs", date.strftime(folder))
        os.makedirs(place, exist_ok=True)
        midday = datetime.datetime.combine(date, datetime.time(8), datetime.timezone.utc)
        rows = pa.table({
            "TimeGenerated": pa.array([midday], pa.timestamp("us", "UTC")),
            "OperationName": ["List Storage Account Keys"],
            "ResultDescription": [""],
            "InitiatedBy": ["{}"],
            "TargetResources": ["[]"],
        })
        pq.write_table(rows, os.path.join(place, f"{number:05}.parquet"))


def plan(arguments, server, window):
    """Plans a scan; returns its seconds and requests."""
    environment = recount(server)
    line = [arguments.binary, "scan", "--lake", "s3://lake", "--suite", "exfiltration", "--dry-run", *window]
    started = time.monotonic()
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - started, dict(server.counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--dates", type=int, default=5000)
    parser.add_argument("--latency-ms", type=float, default=0)
    arguments = parser.parse_args()
    week = FIRST + datetime.timedelta(days=arguments.dates - 7)
    print("| layout | window | LIST | GET | seconds |\n| --- | --- | --- | --- | --- |")
    for layout, folder in LAYOUTS.items():
        with tempfile.TemporaryDirectory(prefix="hindcast-layouts-") as lake:
            write(lake, folder, arguments.dates)
            server = serve({"lake": lake}, arguments.latency_ms)
            for name, window in (("all", []), ("a week", ["--from", str(week)])):
                seconds, counts = plan(arguments, server, window)
                lists, gets = counts.get(("lake", "LIST"), 0), counts.get(("lake", "GET"), 0)
                print(f"| `{layout}` | {name} | {lists:,} | {gets:,} | {seconds:.1f} |", flush=True)
            server.shutdown()


if __name__ == "__main__":
    main()
