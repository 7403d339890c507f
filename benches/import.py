#!/usr/bin/env python3
"""An import of NDJSON against DuckDB's COPY of the same to Parquet: rate and peak memory.

    benches/import.py BINARY [--gigabytes 5] [--rounds 2] [--threads 2]

The script generates a file of firewall rows over five days, in order of time, in a temporary folder. Hindcast imports it (types, dates,
clustered, exactly once); DuckDB reads the JSON and writes zstd Parquet by date, once in the order of the file and once sorted as Hindcast
sorts. Rounds alternate; seconds are wall clock of whole processes, memory is their peak resident size. Needs duckdb.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROWS_PER_GIGABYTE = 1_360_000

GENERATE = """
COPY (
  SELECT 'CommonSecurityLog' AS "Type", 'a1b2c3d4-0000-4000-8000-000000000000' AS TenantId,
    strftime(TIMESTAMP '2026-01-05' + to_microseconds(CAST(i * {step} AS BIGINT)), '%Y-%m-%dT%H:%M:%S.%fZ') AS TimeGenerated,
    'Palo Alto Networks' AS DeviceVendor, 'PAN-OS' AS DeviceProduct, '11.1' AS DeviceVersion,
    CASE WHEN h % 50 = 0 THEN 'THREAT' ELSE 'TRAFFIC' END AS DeviceEventClassID,
    CASE WHEN h % 50 = 0 THEN 'spyware' ELSE 'end' END AS Activity, CAST(h % 5 AS VARCHAR) AS LogSeverity,
    CASE WHEN h % 11 = 0 THEN 'deny' ELSE 'allow' END AS DeviceAction,
    CASE WHEN h % 11 = 0 THEN 'Blocked' ELSE 'Allowed' END AS SimplifiedDeviceAction,
    ['web-browsing', 'ssl', 'dns', 'smtp', 'ms-update'][1 + h % 5] AS ApplicationProtocol, 'tcp' AS Protocol,
    '10.' || (h % 4) || '.' || (h // 7 % 256) || '.' || (h // 1301 % 256) AS SourceIP, 1024 + h % 60000 AS SourcePort,
    'user' || (h % 5000) AS SourceUserName, 'ws-' || (h % 9000) || '.corp.example' AS SourceHostName,
    '203.' || (h // 3 % 200) || '.' || (h // 17 % 256) || '.' || (h // 29 % 256) AS DestinationIP, [443, 80, 53, 25, 8443][1 + h % 5] AS DestinationPort,
    h % 90000 AS SentBytes, h // 5 % 900000 AS ReceivedBytes, 'rule-' || (h % 40) AS DeviceCustomString1, 'Rule' AS DeviceCustomString1Label,
    'vsys1' AS DeviceCustomString3, 'fw-' || (h % 12) AS DeviceName, 'session ' || h AS Message
  FROM (SELECT i, CAST(hash(i) % 4294967296 AS BIGINT) AS h FROM range({rows}) AS series(i)) ORDER BY i
) TO '{path}' (FORMAT json)
"""

COPY = """
SET threads = {threads}; SET memory_limit = '8GB'; SET preserve_insertion_order = false;
COPY (SELECT *, CAST(TimeGenerated AS DATE) AS date FROM read_json('{path}', format = 'newline_delimited') {order})
TO '{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (date))
"""


def run(line):
    """Seconds and peak memory (MiB) of a command."""
    start = time.monotonic()
    child = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(line)[:200]}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def size_of(folder):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hindcast-import-") as place:
        path, out = os.path.join(place, "rows.ndjson"), os.path.join(place, "out")
        rows = int(arguments.gigabytes * ROWS_PER_GIGABYTE)
        # In a separate process: the peak of a child includes the memory of its parent at the fork.
        text = GENERATE.format(rows=rows, path=path, step=5 * 86_400_000_000 / rows)
        run([sys.executable, "-c", f"import duckdb; duckdb.sql({text!r})"])
        gigabytes = os.path.getsize(path) / 1e9
        print(f"{rows} rows, {gigabytes:.2f} GB of NDJSON", flush=True)

        def copy(order):
            text = COPY.format(threads=arguments.threads, path=path, out=out, order=order)
            return [sys.executable, "-c", f"import duckdb; duckdb.sql({text!r})"]

        lines = {
            "hindcast import": [arguments.binary, "import", path, "--lake", out, "--quiet", "--threads", str(arguments.threads)],
            "duckdb copy": copy(""),
            "duckdb copy, sorted": copy("ORDER BY date, SourceIP, TimeGenerated"),
        }
        seconds = {name: [] for name in lines}
        for _ in range(arguments.rounds):
            for name, line in lines.items():
                taken, memory = run(line)
                seconds[name].append(taken)
                print(
                    f"{name:20} {taken:7.1f} s, {gigabytes * 1000 / taken:6.0f} MB/s, peak {memory:6.0f} MiB, {size_of(out) / 1e6:6.0f} MB written",
                    flush=True,
                )
                shutil.rmtree(out)
        own = statistics.median(seconds["hindcast import"])
        for name in ("duckdb copy", "duckdb copy, sorted"):
            print(f"hindcast import / {name}: {own / statistics.median(seconds[name]):.2f}")


if __name__ == "__main__":
    main()
