#!/usr/bin/env python3
"""Hindcast runs both suites against the same thirteen analyses in DuckDB, in turn, on one lake, without a cache.

usage: peer.py HINDCAST [--rounds 5] [--threads 2] [--lake DIR]

Each round runs, one after the other: hindcast with the default preset, hindcast with the notebook preset, the thirteen
queries, and a query that only decodes the columns once (the floor). Times are wall clock: of the whole process for
Hindcast, with results written; of the queries alone for DuckDB. Prints medians, and ratios round by round.
"""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import duckdb  # noqa: F401
except ImportError:
    sys.exit("this needs DuckDB: pip install duckdb pyarrow")

import duckdb_queries

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


def in_duckdb(texts):
    return sum(duckdb_queries.run(texts, options.threads).values())


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
        "duckdb, 13 queries": in_duckdb(duckdb_queries.queries(lake)),
        "duckdb, decoding only": in_duckdb(duckdb_queries.floor(lake)),
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
