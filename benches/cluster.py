#!/usr/bin/env python3
"""The same scan embedded, on one worker and on two, each kept to one processor; then what the cache saves.

    benches/cluster.py BINARY [--days 3] [--rows-per-day 4000000] [--rounds 3] [--cache-days 30] [--cache-rows 100000]

Every process is pinned to one processor (taskset), so that the second worker adds one. Rounds alternate; medians and ratios of
medians are printed. Nothing but a demo lake in a temporary folder is written.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(arguments, processor=None):
    pinned = ["taskset", "-c", str(processor)] if processor is not None else []
    started = time.monotonic()
    done = subprocess.run(pinned + arguments, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}\n{done.stderr}")
    return time.monotonic() - started, done.stdout


class Cluster:
    """A coordinator and workers, one thread each, worker N on processor N."""

    def __init__(self, binary, lake, state, workers):
        self.port, http = free_port(), free_port()
        base = [binary, "coordinator", "--allow-lake", lake, "--state", state, "--threads", "2"]
        self.processes = [self.spawn(base + ["--listen", f"127.0.0.1:{self.port}", "--http", f"127.0.0.1:{http}"])]
        for worker in range(workers):
            line = [binary, "worker", "--coordinator", f"127.0.0.1:{self.port}", "--listen", "127.0.0.1:0"]
            self.processes.append(self.spawn(["taskset", "-c", str(worker)] + line + ["--http", "127.0.0.1:0", "--threads", "1"]))
        self.metrics = f"http://127.0.0.1:{http}/metrics"
        while not self.has_workers(workers):
            time.sleep(0.05)

    def spawn(self, line):
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def has_workers(self, count):
        try:
            return f"hindcast_workers {count}\n" in urllib.request.urlopen(self.metrics).read().decode()
        except OSError:
            return False

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def timed(kind, binary, lake, work, extra):
    """Seconds of a scan without a cache: embedded on one thread, or on so many workers."""
    scan = [binary, "scan", "--lake", lake, "--out", f"{work}/out", "--no-cache", "--quiet"] + extra
    if kind == "embedded":
        return run(scan + ["--threads", "1"], processor=0)[0]
    cluster = Cluster(binary, lake, f"{work}/state-{kind}", kind)
    try:
        return run(scan + ["--coordinator", f"127.0.0.1:{cluster.port}"])[0]
    finally:
        cluster.stop()


def scaling(binary, arguments, work):
    lake = f"{work}/lake"
    demo = ["demo", lake, "--days", str(arguments.days), "--rows-per-day", str(arguments.rows_per_day)]
    print(run([binary] + demo)[1].splitlines()[-2])
    times = {"embedded": [], 1: [], 2: []}
    for _ in range(arguments.rounds):
        for kind in times:
            times[kind].append(timed(kind, binary, lake, work, arguments.extra))
    medians = {kind: statistics.median(of_kind) for kind, of_kind in times.items()}
    for kind, of_kind in times.items():
        name = kind if kind == "embedded" else f"{kind} worker{'s' if kind > 1 else ''}"
        print(f"{name:<10} median {medians[kind]:.2f} s of {', '.join(f'{value:.2f}' for value in of_kind)}")
    print(f"cluster of 1 worker / embedded  {medians[1] / medians['embedded']:.2f}")
    print(f"1 worker / 2 workers            {medians[1] / medians[2]:.2f}")


def caching(binary, arguments, work):
    lake = f"{work}/months"
    days = arguments.cache_days
    demo = ["demo", lake, "--days", str(days + 1), "--rows-per-day", str(arguments.cache_rows), "--start", "2026-01-01"]
    run([binary] + demo)
    cluster = Cluster(binary, lake, f"{work}/state-cache", 2)
    scan = [binary, "scan", "--lake", lake, "--out", f"{work}/out", "--coordinator", f"127.0.0.1:{cluster.port}"]
    end = lambda day: time.strftime("%Y-%m-%d", time.gmtime(1767225600 + 86400 * day))
    window = lambda first: scan + ["--from", end(first), "--to", end(first + days)]
    try:
        first = run(window(0))
        again = run(window(0))
        moved = run(window(1))
        folder = f"{lake}/CommonSecurityLog/date={end(5)}"
        name = sorted(os.listdir(folder))[0]
        shutil.copy(f"{folder}/{name}", f"{folder}/late.parquet")
        late = run(window(1))
    finally:
        cluster.stop()
    for label, (seconds, told) in [("first scan", first), ("the same again", again), ("moved by a day", moved), ("one late file", late)]:
        units = next(line for line in told.splitlines() if " units computed" in line).split("; ")[1]
        print(f"{days} days, {label:<15} {seconds:.2f} s, {seconds / first[0]:.2f} of the first; {units}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--rows-per-day", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache-days", type=int, default=30)
    parser.add_argument("--cache-rows", type=int, default=100_000)
    parser.add_argument("extra", nargs="*", help="further arguments of scan")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    with tempfile.TemporaryDirectory(prefix="hindcast-bench-") as work:
        scaling(binary, arguments, work)
        caching(binary, arguments, work)


if __name__ == "__main__":
    main()
