#!/usr/bin/env python3
"""The rate of an import by source on one core, against DuckDB, jq and zeek-cut on the same file, and the memory of a large file.

    benches/import_sources.py BINARY [--megabytes 100] [--rounds 3] [--core 0] [--only SOURCE ..] [--large 1000]

Each file is as the product writes it (log_files.py). Hindcast reads it, maps it to the table's columns with their types, and writes the
table exactly once: clustered, as zstd Parquet. DuckDB reads the same file as text or by the types it guesses, and writes zstd Parquet in
the file's order; logs that it can't parse are lines to it. jq and zeek-cut print five fields to /dev/null. All have one core (taskset) and
one thread. Seconds are the median of the wall clock of whole processes. `--large` is a file of PAN-OS' syslog in MB, imported with all
cores: its peak of resident memory counts. Needs duckdb; jq and zeek-cut are left out if they are not installed.
"""
import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import log_files
from measure import run

LINES = "read_csv('{path}', columns = {{'line': 'VARCHAR'}}, header = false, delim = '\\x01', quote = '', escape = '', auto_detect = false)"
OFFICE_HEAD = "RecordId,CreationDate,RecordType,Operation,UserId,AuditData,AssociatedAdminUnits,AssociatedAdminUnitsNames\n"
FLOW_HEAD = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
EVENT = '[."@timestamp", .winlog.event_id, .winlog.computer_name, .winlog.event_data.SubjectUserName, .winlog.event_data.CommandLine]'

# By name: what makes a line, what is before the lines, how DuckDB reads the file, and another tool's command.
SOURCES = {
    "PAN-OS syslog": (log_files.pan_os, "", "read_csv('{path}', header = false, all_varchar = true, quote = '\"', delim = ',')", None),
    "PAN-OS CEF": (log_files.cef, "", LINES, None),
    "FortiGate key=value": (log_files.fortigate, "", LINES, None),
    "Cisco ASA": (log_files.asa, "", LINES, None),
    "Zeek conn, TSV": (log_files.zeek, log_files.ZEEK_HEAD, "read_csv('{path}', header = false, delim = '\\t', skip = 8, nullstr = '-')",
                       "zeek-cut ts id.orig_h id.resp_h orig_bytes conn_state < {path}"),
    "Suricata EVE": (log_files.suricata, "", "read_json('{path}', format = 'newline_delimited')", "jq -c '[.timestamp, .event_type, .src_ip, .dest_ip, .dest_port]' {path}"),
    "CloudTrail": (log_files.cloudtrail, None, "(SELECT unnest(Records, recursive := true) FROM read_json('{path}/*.json', maximum_object_size = 50000000))",
                   "jq -c '.Records[] | [.eventTime, .eventName, .eventSource, .sourceIPAddress, .userIdentity.arn]' {path}/*.json"),
    "Winlogbeat": (log_files.winlogbeat, "", "read_json('{path}', format = 'newline_delimited')", f"jq -c '{EVENT}' {{path}}"),
    "Windows events, XML": (log_files.event_xml, "", LINES, None),
    "Microsoft 365 audit, CSV": (log_files.office, OFFICE_HEAD, "read_csv('{path}', header = true)", None),
    "VPC flow": (log_files.vpc_flow, FLOW_HEAD, "read_csv('{path}', header = true, delim = ' ')", None),
}


def generate(name, path, size):
    """Writes the file of a source in a process of its own: the peak of a child includes the memory of its parent at the fork."""
    make, head = SOURCES[name][:2]
    call = f"write_cloudtrail(Path({str(path)!r}), {size})" if head is None else f"write({str(path)!r}, log_files.{make.__name__}, {size}, {head!r})"
    text = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import log_files; from pathlib import Path; print(log_files.{call})"
    subprocess.run([sys.executable, "-c", text], check=True, stdout=subprocess.DEVNULL)


def bytes_of(path):
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def measured(line, rounds, clean):
    """The median of the seconds and of the processor's seconds, the largest peak, and the last output."""
    runs = []
    for _ in range(rounds):
        clean()
        runs.append(run(line))
        if runs[-1].status != 0:
            sys.exit(f"failed: {' '.join(line)[:300]}\n{runs[-1].errors}")
    middle = lambda values: statistics.median(list(values))
    return middle(r.seconds for r in runs), middle(r.processor for r in runs), max(r.peak for r in runs), runs[-1].output


def compare(name, path, place, arguments):
    """Prints the row of a source."""
    on_core = ["taskset", "-c", str(arguments.core)]
    lake, megabytes = place / "lake", bytes_of(path) / 1e6
    clean = lambda: shutil.rmtree(lake, ignore_errors=True)
    line = on_core + [arguments.binary, "import", str(path), "--lake", str(lake), "--threads", "1", "--json"]
    seconds, processor, peak, output = measured(line, arguments.rounds, clean)
    files = json.loads(output)["files"]
    rows = sum(sum(file["rows"].values()) for file in files)
    odd = sum(file["rejects"] + sum(file.get("set_aside", {}).values()) for file in files)
    cells = [name, f"{megabytes / seconds:.0f}", f"{rows / seconds:,.0f}", f"{megabytes / processor:.0f}", f"{peak:.0f}"]
    read = SOURCES[name][2].format(path=path)
    sql = f"SET threads = 1; COPY (SELECT * FROM {read}) TO '{place}/duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)"
    taken, *_ = measured(on_core + [sys.executable, "-c", f"import duckdb; duckdb.sql({sql!r})"], arguments.rounds, lambda: None)
    is_lines = SOURCES[name][2] is LINES
    cells.append(f"{megabytes / taken:.0f}" + (" (lines)" if is_lines else ""))
    tool = SOURCES[name][3]
    if tool and shutil.which(tool.split()[0]):
        taken, *_ = measured(on_core + ["sh", "-c", tool.format(path=path) + " > /dev/null"], arguments.rounds, lambda: None)
        cells.append(f"{megabytes / taken:.0f} ({tool.split()[0]})")
    else:
        cells.append("")
    print("| " + " | ".join(cells) + " |" + (f" {odd} records are no rows" if odd else ""), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=sorted(SOURCES))
    parser.add_argument("--large", type=float, default=1000, help="MB of PAN-OS' syslog; 0 leaves it out")
    arguments = parser.parse_args()
    print("| source | MB/s | rows/s | MB per processor second | peak MiB | DuckDB MB/s | other MB/s |\n|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.only or SOURCES:
        with tempfile.TemporaryDirectory(prefix="hindcast-sources-") as place:
            path = Path(place) / "logs"
            generate(name, path, int(arguments.megabytes * 1e6))
            compare(name, path, Path(place), arguments)
    if arguments.large:
        with tempfile.TemporaryDirectory(prefix="hindcast-sources-") as place:
            path = Path(place) / "logs"
            generate("PAN-OS syslog", path, int(arguments.large * 1e6))
            clean = lambda: shutil.rmtree(Path(place) / "lake", ignore_errors=True)
            line = [arguments.binary, "import", str(path), "--lake", f"{place}/lake", "--quiet"]
            seconds, processor, peak, _ = measured(line, 1, clean)
            print(f"{bytes_of(path) / 1e6:.0f} MB of PAN-OS syslog: {seconds:.1f} s, {processor:.1f} processor seconds, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
