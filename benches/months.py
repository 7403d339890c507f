#!/usr/bin/env python3
"""A month of telemetry: Hindcast against DuckDB, Spark and the decode floor; cost by days and rows; rollups; memory.

    benches/months.py BINARY [--days 30] [--rows-per-day 3600000] [--lake DIR] [--work DIR] [--threads 2] [--rounds 2] [--part PART]..
                      [--spark-oracle SCRIPT --seeds DIR [--spark-days 30] [--spark-only exfil|paloalto] [--spark-minutes 20]]

peers    exfiltration and firewall: without a cache, writing a cache, the same again, moved by a day; DuckDB's queries and floor
spark    the notebooks' own code in Spark, by a script that runs it (SCRIPT SEEDS LAKE OUT --start --end --threads), on the last days
curve    without a cache, by days at the same rows per day, and by rows per day over three days
rollups  bytes of state by rollup against those of the tables it reads; a scan of state alone against the first, over 30 and 90 days
memory   all suites over the whole lake with decreasing memory, also with a hard limit (root, Linux, cgroups); compares the bytes

`demo` makes the lake if it does not exist; a lake that --lake names stays. Each run is a separate process. Peers need duckdb and
pyarrow. Peak memory is of all processes of a run together. Runs alternate; medians are printed.
"""

import argparse
import collections
import datetime
import filecmp
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from measure import run

HERE = Path(__file__).parent
FIRST_DAY = datetime.date(2026, 1, 5)
TWO_SUITES = ["--suite", "exfiltration,firewall"]
MEBIBYTE = 1 << 20


def day(number):
    return str(FIRST_DAY + datetime.timedelta(days=number))


def window(first, end):
    """The days from one number up to, but not including, another."""
    return ["--from", day(first), "--to", day(end)]


def bytes_of(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))


def report(name, measured):
    print(f"{name:<44} {measured}", flush=True)
    if measured.status:
        print("    " + (measured.errors.strip().splitlines() or ["without a word"])[-1][:300], flush=True)
    return measured


class Bench:
    """One binary on one lake."""

    def __init__(self, arguments):
        self.arguments, self.work = arguments, Path(arguments.work)
        self.days = arguments.days
        self.lake = self.made(Path(arguments.lake or self.work / "lake"), self.days, arguments.rows_per_day)

    def made(self, lake, days, rows_per_day):
        """A lake of this many days, made if it does not exist."""
        if not lake.exists():
            made = run([self.arguments.binary, "demo", str(lake), "--days", str(days), "--rows-per-day", str(rows_per_day),
                        "--start", day(0)])
            if made.status:
                sys.exit(made.errors)
        return lake

    def scan(self, *extra, lake=None, threads=None, out="out", **limits):
        line = [self.arguments.binary, "scan", "--lake", str(lake or self.lake), "--out", str(self.work / out), "--quiet",
                "--threads", str(threads or self.arguments.threads)]
        return run(line + list(extra), **limits)

    def in_turn(self, runs, rounds=None):
        """Medians of runs by name, one after the other in each round."""
        taken = collections.defaultdict(list)
        for _ in range(rounds or self.arguments.rounds):
            for name, start in runs.items():
                taken[name].append(report(name, start()))
        for name, of_name in taken.items():
            of_name.sort(key=lambda measured: measured.seconds)
            print(f"median: {name:<36} {statistics.median(measured.seconds for measured in of_name):7.1f} s, "
                  f"{statistics.median(measured.processor for measured in of_name):7.1f} processor seconds, "
                  f"peak {max(measured.peak for measured in of_name):6.0f} MiB", flush=True)
        return {name: statistics.median(measured.seconds for measured in of_name) for name, of_name in taken.items()}


def in_duckdb(bench, which):
    return run([sys.executable, str(HERE / "duckdb_queries.py"), str(bench.lake), which, "--threads", str(bench.arguments.threads)])


def peers(bench):
    whole, moved = bench.work / "state-whole", bench.work / "state-moved"

    def fresh(state, *extra):
        shutil.rmtree(state, ignore_errors=True)
        return bench.scan(*TWO_SUITES, "--state", str(state), *extra)

    bench.scan(*TWO_SUITES, *window(0, 1), "--no-cache")  # loads the binary and a first day into the page cache
    taken = bench.in_turn({
        "hindcast, no cache": lambda: bench.scan(*TWO_SUITES, "--no-cache"),
        "hindcast, writing a cache": lambda: fresh(whole),
        "hindcast, the same again": lambda: bench.scan(*TWO_SUITES, "--state", str(whole)),
        "hindcast, all days but the last": lambda: fresh(moved, *window(0, bench.days - 1)),
        "hindcast, moved by a day": lambda: bench.scan(*TWO_SUITES, "--state", str(moved), *window(1, bench.days)),
        "duckdb, 13 queries": lambda: in_duckdb(bench, "queries"),
        "duckdb, decoding only (the floor)": lambda: in_duckdb(bench, "floor"),
    })
    for state in (whole, moved):
        shutil.rmtree(state)
    cold = taken["hindcast, no cache"]
    print(f"no cache / 13 queries       {cold / taken['duckdb, 13 queries']:.2f}")
    print(f"no cache / floor            {cold / taken['duckdb, decoding only (the floor)']:.2f}")
    print(f"the same again / no cache   {taken['hindcast, the same again'] / cold:.2f}")
    print(f"moved by a day / no cache   {taken['hindcast, moved by a day'] / cold:.2f}")


def spark(bench):
    options = bench.arguments
    if not (options.spark_oracle and options.seeds):
        return print("spark: left out, since --spark-oracle and --seeds are not given")
    first, end = bench.days - min(options.spark_days or bench.days, bench.days), bench.days
    suites = {"exfil": "exfiltration", "paloalto": "firewall"}
    for name in [options.spark_only] if options.spark_only else suites:
        out = bench.work / f"spark-{name}"
        line = [sys.executable, options.spark_oracle, options.seeds, str(bench.lake), str(out), "--only", name,
                "--start", f"{day(first)}T00:00:00", "--end", f"{day(end)}T00:00:00", "--threads", str(options.threads)]
        ran = report(f"spark, {name}, {end - first} days", run(line, seconds=options.spark_minutes * 60))
        if ran.status == 0:
            cells = json.loads((out / "timings.json").read_text())
            print(f"    of them {cells[name]:.1f} s in the notebook's cells, the rest is start-up", flush=True)
            slowest = sorted((part for part in cells.items() if part[0].startswith(f"{name}.") and part[0].rsplit(".")[-1].isdigit()),
                             key=lambda part: -part[1])[:3]
            print("    " + ", ".join(f"{cell} {seconds:.1f} s" for cell, seconds in slowest), flush=True)
        for preset in ("notebook", "default"):
            extra = ["--suite", suites[name], "--preset", preset, "--no-cache", *window(first, end)]
            report(f"hindcast, {suites[name]}, {preset} preset", bench.scan(*extra))


def curve(bench):
    def line(name, measured, rows):
        report(name, measured)
        print(f"    {measured.processor / rows * 1e6:.2f} processor seconds per million rows", flush=True)

    def cost(name, *extra, lake=None):
        measured = bench.scan("--no-cache", *extra, lake=lake)
        summary = json.loads((bench.work / "out" / "summary.json").read_text())
        line(name, measured, sum(table["rows"] for table in summary["coverage"]["tables"]))

    for days in (1, 3, 10, 30):
        if days <= bench.days:
            cost(f"{days} days", *window(0, days))
    for rows_per_day in bench.arguments.curve_rows:
        lake = bench.made(bench.work / f"lake-{rows_per_day}", 3, rows_per_day)
        cost(f"3 days of {rows_per_day} rows", lake=lake)
        shutil.rmtree(lake)


def rollups(bench):
    long_lake = bench.made(Path(bench.arguments.long_lake or bench.work / "long-lake"), 90, bench.arguments.long_rows_per_day)
    for name, lake in ((f"{bench.days} days", bench.lake), ("90 days", long_lake)):
        state = bench.work / "state-rollups"
        shutil.rmtree(state, ignore_errors=True)
        first = report(f"{name}, first", bench.scan("--state", str(state), lake=lake))
        again = report(f"{name}, state alone", bench.scan("--state", str(state), lake=lake))
        bare = ["--state", str(state), "--format", "parquet"]
        plain = report(f"{name}, state alone, no report", bench.scan(*bare, lake=lake))
        print(f"    {again.seconds / first.seconds:.3f} of the first, {plain.seconds / first.seconds:.3f} without report.html", flush=True)
        sizes(state, lake)
        shutil.rmtree(state)


def sizes(state, lake):
    """Bytes of each rollup against those of its table."""
    stored = collections.defaultdict(lambda: [0, 0, 0])
    for path in state.rglob("*.json"):
        manifest = json.loads(path.read_text())
        counts = stored[path.relative_to(state).parts[0], manifest["rollup"]]
        counts[0] += (manifest["data"] or {"bytes": 0})["bytes"]
        counts[1] += manifest["state_rows"]
        counts[2] += manifest["stats"]["rows"]
    tables = {table: bytes_of(lake / table) for table, _ in stored}
    for (table, rollup), (size, state_rows, rows) in sorted(stored.items()):
        print(f"    {table:<22} {rollup:<22} {size / 1e6:8.2f} MB, {100 * size / tables[table]:6.2f} %, {state_rows} rows of {rows}")
    for table, size in tables.items():
        of_table = sum(counts[0] for key, counts in stored.items() if key[0] == table)
        print(f"    {table:<22} all rollups {of_table / 1e6:8.2f} MB of {size / 1e6:.2f}, {100 * of_table / size:.2f} %")
    total, whole = sum(counts[0] for counts in stored.values()), sum(tables.values())
    print(f"    state {total / 1e6:.1f} MB of {whole / 1e6:.1f} MB: {100 * total / whole:.2f} %", flush=True)


def memory(bench):
    plenty = report("plenty (16 GiB)", bench.scan("--no-cache", "--memory", "16GiB", out="plenty"))
    hard = bench.arguments.hard_limit
    limits = [None, hard] if hard and os.geteuid() == 0 else [None]
    for budget, limit in itertools.product(bench.arguments.memory, limits):
        shutil.rmtree(bench.work / "short", ignore_errors=True)
        name = f"--memory {budget}" + (f", hard limit {limit} MiB" if limit else "")
        done = report(name, bench.scan("--no-cache", "--memory", budget, out="short", limit_bytes=limit * MEBIBYTE if limit else None))
        if done.status == 0 and plenty.status == 0:
            print(f"    {done.seconds / plenty.seconds:.2f} of plenty's time; {difference(bench.work / 'plenty', bench.work / 'short')}", flush=True)


def difference(one, other):
    """The files that differ between two result folders."""
    names = {path.relative_to(folder) for folder in (one, other) for path in folder.rglob("*") if path.is_file()}
    differ = [str(name) for name in sorted(names)
              if not ((one / name).exists() and (other / name).exists() and filecmp.cmp(one / name, other / name, shallow=False))]
    return f"differing: {', '.join(differ)}" if differ else f"all {len(names)} files the same bytes"


PARTS = {"peers": peers, "spark": spark, "curve": curve, "rollups": rollups, "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rows-per-day", type=int, default=3_600_000)
    parser.add_argument("--lake", help="made if it does not exist, and not deleted")
    parser.add_argument("--work", help="a folder for results, state and lakes; default: a temporary one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="of peers")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("--spark-oracle", help="a script that runs the notebooks' cells in Spark")
    parser.add_argument("--seeds", help="the notebooks")
    parser.add_argument("--spark-days", type=int, help="only this many last days")
    parser.add_argument("--spark-only", choices=["exfil", "paloalto"])
    parser.add_argument("--spark-minutes", type=float, default=20, help="time limit of a notebook")
    parser.add_argument("--curve-rows", type=int, nargs="*", default=[200_000, 600_000, 1_800_000, 5_400_000])
    parser.add_argument("--long-lake", help="the lake of 90 days; not deleted")
    parser.add_argument("--long-rows-per-day", type=int, default=400_000)
    parser.add_argument("--memory", nargs="*", default=["2GiB", "1GiB", "512MiB", "256MiB", "128MiB"])
    parser.add_argument("--hard-limit", type=int, help="also run each with a hard limit of this many MiB")
    arguments = parser.parse_args()
    arguments.binary = os.path.abspath(arguments.binary)
    with tempfile.TemporaryDirectory(prefix="hindcast-bench-") as own:
        arguments.work = arguments.work or own
        Path(arguments.work).mkdir(parents=True, exist_ok=True)
        bench = Bench(arguments)
        for name, part in PARTS.items():
            if name in (arguments.part or PARTS):
                print(f"-- {name}", flush=True)
                part(bench)


if __name__ == "__main__":
    main()
