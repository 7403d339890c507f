#!/usr/bin/env python3
"""The load that a coordinator can take: a real one, with its plan, job store and scheduler, and many workers that run empty tasks.

    benches/capacity.py BINARY EMPTY_WORKERS [--units 1000,10000] [--workers 1,10,100,500] [--slots 16] [--task-ms 0] [--days 180]

The lake has one sparse file of 512 MiB, with nothing but a footer, for each unit. EMPTY_WORKERS is the example `empty_workers` of the worker
crate: its workers poll for tasks, report them and serve results as a worker does, on loopback, and commit a unit's state as files of
32 KiB; merges read nothing. Each line is a new cluster with a new state folder: processor seconds while it idles, then a scan of
everything, then the same again with all state in place, and once more on a new coordinator. Processor seconds are the coordinator's alone, but it shares machine and
disk with the simulator, so times are upper bounds. The benchmark fails if a unit does not run, or runs more than once.
"""

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from cluster import free_port, run

UNIT_BYTES = 512 << 20
IDLE_SECONDS = 5
FIRST_DAY = datetime.date(2026, 1, 1)
# Of twelve units: about the share of each table in a day of the generated lake.
SHARES = {"CommonSecurityLog": 6, "DeviceNetworkEvents": 3, "DeviceProcessEvents": 1, "DeviceFileEvents": 1, "OfficeActivity": 1}


def template(binary, work):
    """A small file of each table."""
    lake = f"{work}/template"
    run([binary, "demo", lake, "--days", "1", "--rows-per-day", "2000"])
    def first(table):
        folder = f"{lake}/{table}/{os.listdir(f'{lake}/{table}')[0]}"
        with open(f"{folder}/{sorted(os.listdir(folder))[0]}", "rb") as file:
            return file.read()
    return {table: first(table) for table in SHARES}


def make_lake(files, units, days, folder):
    """A lake with this many units, spread evenly over tables and days; files are sparse up to their footers."""
    tables = [table for table, share in SHARES.items() for _ in range(share)]
    for unit in range(units):
        table, date = tables[unit % len(tables)], FIRST_DAY + datetime.timedelta(unit * days // units)
        place = f"{folder}/{table}/date={date}"
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/part-{unit:06}.parquet", "wb") as file:
            file.truncate(UNIT_BYTES)
            file.seek(UNIT_BYTES - len(files[table]))
            file.write(files[table])
    return folder


def usage(process):
    """Processor seconds of a process so far."""
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process, what):
    """Memory of a process in MiB, now (VmRSS) or at most (VmHWM)."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(what))


class Cluster:
    """A coordinator, and a process with all the workers."""

    def __init__(self, arguments, lake, state, workers):
        self.binary, self.port, http, self.log = arguments.binary, free_port(), free_port(), f"{state}.log"
        line = [arguments.binary, "coordinator", "--allow-lake", lake, "--state", state, "--threads", "2"]
        line += ["--listen", f"127.0.0.1:{self.port}", "--http", f"127.0.0.1:{http}", "--config", f"{state}.toml"]
        with open(f"{state}.toml", "w") as settings:
            # Hundreds of workers on these processors may be slow, and must not count as lost.
            settings.write("[faults]\nworker_timeout_seconds = 300\nstall_seconds = 600\n")
        environment = dict(os.environ, HINDCAST_LOG="warn,hindcast=debug", HINDCAST_LOG_FORMAT="json")
        with open(self.log, "w") as log:
            self.coordinator = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=log, env=environment)
        line = [arguments.empty_workers, f"127.0.0.1:{self.port}", str(workers), str(arguments.slots), str(arguments.task_ms)]
        self.workers = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=dict(os.environ, TMPDIR=os.path.dirname(state)))
        self.metrics = f"http://127.0.0.1:{http}/metrics"
        deadline = time.monotonic() + 120
        while self.metric("hindcast_workers") != workers:
            if time.monotonic() > deadline or self.coordinator.poll() is not None or self.workers.poll() is not None:
                sys.exit(f"the cluster of {workers} workers does not start: see {self.log}")
            time.sleep(0.1)

    def metric(self, name):
        try:
            text = urllib.request.urlopen(self.metrics).read().decode()
        except OSError:
            return None
        found = re.search(rf"^{name} (\S+)$", text, re.M)
        return float(found.group(1)) if found else None

    def events(self):
        with open(self.log) as log:
            return [json.loads(line) for line in log if line.startswith("{")]

    def stop(self):
        """Ends both; returns how many tasks of each kind the workers ran."""
        self.workers.send_signal(signal.SIGTERM)
        output = self.workers.communicate()[0]
        self.coordinator.send_signal(signal.SIGKILL)
        self.coordinator.wait()
        return [int(number) for number in re.findall(r"\d+", output)]


def scan(cluster, lake, out, days):
    """A scan of the whole lake: total seconds, seconds per phase, and what the coordinator and the workers used."""
    before, events_before = [usage(cluster.coordinator), usage(cluster.workers)], len(cluster.events())
    line = [cluster.binary, "scan", "--lake", lake, "--out", out, "--coordinator", f"127.0.0.1:{cluster.port}", "--json"]
    # Empty tasks find no row, so nothing is assessed.
    line += ["--allow-partial"]
    line += ["--from", str(FIRST_DAY), "--to", str(FIRST_DAY + datetime.timedelta(days))]
    started = time.monotonic()
    done = subprocess.run(line, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(f"{' '.join(line)}\n{done.stderr}")
    used = [usage(cluster.coordinator) - before[0], usage(cluster.workers) - before[1]]
    events = cluster.events()[events_before:]
    def at(message):
        times = [event["timestamp"] for event in events if event["fields"].get("message") == message]
        return datetime.datetime.fromisoformat(times[-1].replace("Z", "+00:00")) if times else None
    points = [at("job accepted")]
    for message in ("planned", "state looked up", "rollups complete", "job ended"):
        points.append(at(message) or points[-1])
    phases = [(after - before).total_seconds() for before, after in zip(points, points[1:])]
    again = [event["fields"] for event in events if event["fields"].get("message") == "submitting again"]
    return {"seconds": seconds, "coordinator": used[0], "workers": used[1], "phases": phases, "again": again}


def measure(arguments, lake, units, workers, work):
    state = f"{work}/state-{units}-{workers}"
    cluster = Cluster(arguments, lake, state, workers)
    try:
        # Workers have just joined: wait until the load is over.
        time.sleep(1)
        idle, started = usage(cluster.coordinator), time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle = (usage(cluster.coordinator) - idle) / (time.monotonic() - started)
        resting = memory(cluster.coordinator, "VmRSS")
        first = scan(cluster, lake, f"{work}/out", arguments.days)
        peak = memory(cluster.coordinator, "VmHWM")
        again = scan(cluster, lake, f"{work}/out", arguments.days)
    finally:
        rollups, merges = cluster.stop()
    # Without what a scheduler remembers of tasks that have just ended.
    cluster = Cluster(arguments, lake, state, workers)
    try:
        scan(cluster, lake, f"{work}/out", arguments.days)
        later = memory(cluster.coordinator, "VmHWM")
    finally:
        cluster.stop()
    plan, look, rollup, merge = first["phases"]
    _, look_again, _, merge_again = again["phases"]
    note = "" if rollups == units else f"  {rollups} tasks for {units} units"
    note += "".join(f"  again: {fields.get('reason')}" for fields in first["again"] + again["again"])
    row = [units, workers, f"{idle:.2f}", f"{plan:.1f}", f"{look:.1f}", f"{rollup:.1f}", f"{units / rollup:.0f}", f"{merge:.1f}"]
    row += [f"{first['seconds']:.1f}", f"{first['coordinator']:.1f}", f"{1000 * first['coordinator'] / units:.2f}", f"{first['workers']:.1f}"]
    row += [f"{again['seconds']:.1f}", f"{look_again:.1f}", f"{merge_again:.1f}", f"{again['coordinator']:.1f}", merges // 2]
    row += [f"{resting:.0f}", f"{peak:.0f}", f"{later:.0f}"]
    print("| " + " | ".join(str(value) for value in row) + " |" + note, flush=True)
    return rollups == units


COLUMNS = ["units", "workers", "idle: processors", "first: plan s", "look-ups s", "rollups s", "units/s", "merges s", "all s",
           "coordinator CPU s", "ms a unit", "workers' CPU s", "again: all s", "look-ups s", "merges s", "coordinator CPU s", "merge tasks",
           "idle MiB", "peak MiB", "a new coordinator: peak MiB"]


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("empty_workers")
    parser.add_argument("--units", type=numbers, default=[1000, 10_000])
    parser.add_argument("--workers", type=numbers, default=[1, 10, 100, 500])
    parser.add_argument("--slots", type=int, default=16, help="tasks that a worker runs at once: two per processor")
    parser.add_argument("--task-ms", type=int, default=0, help="how long each task sleeps")
    parser.add_argument("--days", type=int, default=180)
    arguments = parser.parse_args()
    arguments.binary, arguments.empty_workers = os.path.abspath(arguments.binary), os.path.abspath(arguments.empty_workers)
    with tempfile.TemporaryDirectory(prefix="hindcast-capacity-") as work:
        files = template(arguments.binary, work)
        print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
        for units in arguments.units:
            lake = make_lake(files, units, arguments.days, f"{work}/lake-{units}")
            right = [measure(arguments, lake, units, workers, work) for workers in arguments.workers]
            if not all(right):
                sys.exit("some unit was not run, or was run more than once")


if __name__ == "__main__":
    main()
