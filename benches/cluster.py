#!/usr/bin/env python3
"""The same scan embedded, on one worker and on two, each pinned to one processor; a lake with a hot key; the effect of the cache.

    benches/cluster.py BINARY [--days 3] [--rows-per-day 4000000] [--rounds 3] [--cache-days 30] [--cache-rows 100000]
                              [--halves] [--part PART]..

The embedded scan and each worker are pinned to one processor (taskset), so the second worker adds one. Coordinator and client run on the
same processors. With two processors they slow down the second worker, so with --halves (root, Linux) the embedded scan and each worker
get half of the first processor (cgroups), and coordinator and client have the second. The script also prints processor seconds, and
the phases of a job from the coordinator's log. Rounds alternate; it prints medians and ratios of medians. It writes only lakes in a temporary
folder. The hot key needs pyarrow: in that lake every second row of the firewall has the same source address.
"""

import argparse
import datetime
import glob
import json
import os
import resource
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


class Processors:
    """Which processors a process may use."""

    def __init__(self, halves):
        self.halves = halves

    def of_worker(self, line, worker):
        """A command line that limits `line` to the processors of the worker with that number; the embedded scan counts as the first."""
        if not self.halves:
            return ["taskset", "-c", str(worker)] + line
        group, period, quota = f"hindcast-bench-{worker}", 10_000, 5_000
        folder, is_first_version = f"/sys/fs/cgroup/{group}", os.path.exists("/sys/fs/cgroup/cpu")
        if is_first_version:
            folder = f"/sys/fs/cgroup/cpu/{group}"
        os.makedirs(folder, exist_ok=True)
        limits = {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota} if is_first_version else {"cpu.max": f"{quota} {period}"}
        for name, value in limits.items():
            with open(f"{folder}/{name}", "w") as file:
                file.write(str(value))
        return ["taskset", "-c", "0", "sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "sh"] + line

    def of_others(self, line):
        return ["taskset", "-c", "1"] + line if self.halves else line


def run(line):
    started = time.monotonic()
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(line)}\n{done.stderr}")
    return time.monotonic() - started, done.stdout


class Cluster:
    """A coordinator and workers, one thread each, worker N on processor N."""

    def __init__(self, binary, lake, state, workers, processors):
        self.port, http = free_port(), free_port()
        self.logs = f"{state}-logs"
        os.makedirs(self.logs, exist_ok=True)
        base = [binary, "coordinator", "--allow-lake", lake, "--state", state, "--threads", "2"]
        base += ["--listen", f"127.0.0.1:{self.port}", "--http", f"127.0.0.1:{http}"]
        self.processes = [self.spawn(processors.of_others(base))]
        for worker in range(workers):
            line = [binary, "worker", "--coordinator", f"127.0.0.1:{self.port}", "--listen", "127.0.0.1:0"]
            line += ["--http", "127.0.0.1:0", "--threads", "1"]
            self.processes.append(self.spawn(processors.of_worker(line, worker)))
        self.metrics = f"http://127.0.0.1:{http}/metrics"
        while not self.has_workers(workers):
            time.sleep(0.05)

    def spawn(self, line):
        environment = dict(os.environ, HINDCAST_LOG="hindcast=debug", HINDCAST_LOG_FORMAT="json")
        with open(f"{self.logs}/{len(os.listdir(self.logs))}", "w") as log:
            return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=log, env=environment)

    def has_workers(self, count):
        try:
            return f"hindcast_workers {count}\n" in urllib.request.urlopen(self.metrics).read().decode()
        except OSError:
            return False

    def processor_seconds(self):
        """Processor seconds of the coordinator, and of all workers."""
        def of(process):
            with open(f"/proc/{process.pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        coordinator, *workers = [of(process) for process in self.processes]
        return coordinator, sum(workers)

    def stop(self):
        """Ends all; returns their logs in order of time."""
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        lines = [line for path in glob.glob(f"{self.logs}/*") for line in open(path) if line.startswith("{")]
        shutil.rmtree(self.logs)
        return sorted((json.loads(line) for line in lines), key=lambda event: event["timestamp"])


def phases(events):
    """Seconds of three phases: until all state exists, until everything is merged, until the job ends."""
    def at(message, last=False):
        times = [event["timestamp"] for event in events if event["fields"].get("message") == message]
        return datetime.datetime.fromisoformat(times[-1 if last else 0].replace("Z", "+00:00"))
    points = [at("job accepted"), at("rollups complete"), at("merged", last=True), at("job ended")]
    return [(after - before).total_seconds() for before, after in zip(points, points[1:])]


def task_seconds(events, kind):
    ended = [event["fields"] for event in events if event["fields"].get("message") == "task ended"]
    return [fields["elapsed_ms"] / 1000 for fields in ended if fields["kind"] == kind]


def scan_on(workers, arguments, lake, work):
    """A scan without a cache on this many workers: its seconds, processor seconds by process, and the log."""
    scan = [arguments.binary, "scan", "--lake", lake, "--out", f"{work}/out", "--no-cache", "--quiet"] + arguments.extra
    processors = Processors(arguments.halves)
    cluster = Cluster(arguments.binary, lake, f"{work}/state-{workers}", workers, processors)
    events = []
    try:
        idle = cluster.processor_seconds()
        clients = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = run(processors.of_others(scan + ["--coordinator", f"127.0.0.1:{cluster.port}"]))[0]
        done = resource.getrusage(resource.RUSAGE_CHILDREN)
        client = done.ru_utime + done.ru_stime - clients.ru_utime - clients.ru_stime
        coordinator, of_workers = (now - then for now, then in zip(cluster.processor_seconds(), idle))
    finally:
        events = cluster.stop()
    return {"seconds": seconds, "coordinator": coordinator, "workers": of_workers, "client": client, "events": events}


def scaling(arguments, work):
    lake = demo_lake(arguments, work)
    embedded, runs = [], {1: [], 2: []}
    for _ in range(arguments.rounds):
        scan = [arguments.binary, "scan", "--lake", lake, "--out", f"{work}/out", "--no-cache", "--quiet", "--threads", "1"]
        embedded.append(run(Processors(arguments.halves).of_worker(scan + arguments.extra, 0))[0])
        for workers, of_count in runs.items():
            of_count.append(scan_on(workers, arguments, lake, work))
    medians = {"embedded": statistics.median(embedded)}
    print(f"embedded   median {medians['embedded']:.2f} s of {', '.join(f'{value:.2f}' for value in embedded)}")
    rollups = {}
    for workers, of_count in runs.items():
        times = [done["seconds"] for done in of_count]
        medians[workers] = statistics.median(times)
        print(f"{workers} worker{'s' * (workers > 1):<2} median {medians[workers]:.2f} s of {', '.join(f'{value:.2f}' for value in times)}")
        used = {name: statistics.median(done[name] for done in of_count) for name in ("coordinator", "workers", "client")}
        print("           processor seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in used.items()))
        halves = [statistics.median(part) for part in zip(*(phases(done["events"]) for done in of_count))]
        rollups[workers] = halves[0]
        print("           rollups {:.2f} s, merges {:.2f} s, results stored {:.2f} s".format(*halves))
    print(f"cluster of 1 worker / embedded  {medians[1] / medians['embedded']:.2f}")
    print(f"1 worker / 2 workers            {medians[1] / medians[2]:.2f}, of the rollups alone {rollups[1] / rollups[2]:.2f}")


def demo_lake(arguments, work):
    lake = f"{work}/lake"
    if not os.path.exists(lake):
        demo = ["demo", lake, "--days", str(arguments.days), "--rows-per-day", str(arguments.rows_per_day)]
        print(run([arguments.binary] + demo)[1].splitlines()[-2])
    return lake


def rewritten(lake, target, hot_address):
    """A copy of a lake with firewall rows rewritten by pyarrow, every second one with `hot_address` if it is given."""
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet
    shutil.copytree(lake, target)
    for path in glob.glob(f"{target}/CommonSecurityLog/*/*.parquet"):
        table = pyarrow.parquet.read_table(path)
        if hot_address:
            position = table.schema.get_field_index("SourceIP")
            sources = table["SourceIP"].cast(pyarrow.string())
            is_hot = pyarrow.array([row % 2 == 0 for row in range(table.num_rows)])
            sources = pyarrow.compute.if_else(is_hot, pyarrow.scalar(hot_address), sources)
            table = table.set_column(position, "SourceIP", sources)
        pyarrow.parquet.write_table(table, path, compression="zstd", coerce_timestamps="us")
    return target


def hot_key(arguments, work):
    lake = demo_lake(arguments, work)
    lakes = {"even": rewritten(lake, f"{work}/even", None), "hot": rewritten(lake, f"{work}/hot", "10.20.30.40")}
    runs = {name: [] for name in lakes}
    for _ in range(arguments.rounds):
        for name, of_name in runs.items():
            of_name.append(scan_on(2, arguments, lakes[name], work))
    medians = {name: statistics.median(done["seconds"] for done in of_name) for name, of_name in runs.items()}
    for name, of_name in runs.items():
        print(f"{name + ' key':<8} 2 workers, median {medians[name]:.2f} s of {', '.join('%.2f' % done['seconds'] for done in of_name)}")
        for kind in ("rollup", "merge"):
            tasks = [task_seconds(done["events"], kind) for done in of_name]
            mean = statistics.median(statistics.mean(of_run) for of_run in tasks)
            longest = statistics.median(max(of_run) for of_run in tasks)
            print(f"         {kind}: {len(tasks[0])} tasks, mean {mean:.2f} s, longest {longest:.2f} s, {longest / mean:.1f} of the mean")
    print(f"hot / even  {medians['hot'] / medians['even']:.2f}")


def caching(arguments, work):
    binary, lake = arguments.binary, f"{work}/months"
    days = arguments.cache_days
    demo = ["demo", lake, "--days", str(days + 1), "--rows-per-day", str(arguments.cache_rows), "--start", "2026-01-01"]
    run([binary] + demo)
    cluster = Cluster(binary, lake, f"{work}/state-cache", 2, Processors(arguments.halves))
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
    for label, (seconds, output) in [("first scan", first), ("the same again", again), ("moved by a day", moved), ("one late file", late)]:
        units = next(line for line in output.splitlines() if " units computed" in line).split("; ")[1]
        print(f"{days} days, {label:<15} {seconds:.2f} s, {seconds / first[0]:.2f} of the first; {units}")


PARTS = {"scaling": scaling, "hot-key": hot_key, "caching": caching}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--rows-per-day", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache-days", type=int, default=30)
    parser.add_argument("--cache-rows", type=int, default=100_000)
    parser.add_argument("--halves", action="store_true", help="half a processor for each worker, another for the rest")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("extra", nargs="*", help="further arguments of scan")
    arguments = parser.parse_args()
    arguments.binary = os.path.abspath(arguments.binary)
    with tempfile.TemporaryDirectory(prefix="hindcast-bench-") as work:
        for name, part in PARTS.items():
            if name in (arguments.part or PARTS):
                part(arguments, work)


if __name__ == "__main__":
    main()
