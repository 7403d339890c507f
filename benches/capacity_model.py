#!/usr/bin/env python3
"""Prints the tables of docs/capacity.md from a few measured constants. Change them here and print the tables again.

    benches/capacity_model.py [--bytes-per-day 1e12] [--days 180] [--cores 8] [--workers 1,10,100,500]

Each constant names the command that measures it. Everything else is arithmetic, and so extrapolated.
"""

import argparse

GIB, MIB = 2**30, 2**20

# name: (value, unit, meaning, how it is measured)
CONSTANTS = {
    "rollup": (43.0, "s/GiB", "processor time to read and group one GiB of Parquet", "scan: first run minus second"),
    "merge": (12.0, "s/GiB", "processor time to merge and analyse one GiB of Parquet in the window", "scan, second run: minus `task_overhead` of 27 tasks"),
    "state": (0.094, "", "bytes of state per byte of the lake", "scan: size of the state"),
    "unit_overhead": (0.0105, "s", "processor time of a unit with hardly any rows", "small lake: first run minus second, per unit"),
    "task_overhead": (0.04, "s", "processor time of a merge task with hardly any state", "scan of 1.8 million rows, second run: minus `merge`, per task"),
    "file_overhead": (0.0006, "s", "processor time of a state file with hardly any rows, per shard", "small lake: second run minus `task_overhead`, per file"),
    "merge_spread": (5.2, "", "longest merge task, as a multiple of the mean", "`just bench-cluster --part hot-key`"),
    "state_files": (6.4, "", "state files per unit, each table weighted by its bytes", "`--dry-run`: rollups that a unit feeds"),
    "coordinator_unit": (0.0009, "s", "coordinator's processor time per unit", "bench-capacity, 10,000 units, first run"),
    "coordinator_task": (0.0017, "s", "coordinator's processor time per merge task", "bench-capacity, 1,000 units, second run"),
    "coordinator_idle": (0.0001, "", "processors of the coordinator per idle worker", "bench-capacity"),
    "coordinator_unit_bytes": (16 * 1024, "B", "coordinator's memory per unit", "bench-capacity: peak at 10,000 units minus peak at 1,000"),
    "lake_gets": (3.0, "", "GET per file of the lake", "bench-requests, first run"),
    "merge_gets": (4.3, "", "GET per state file and shard, all analyses together", "bench-requests, `--threads` 1, 2 and 4"),
    "merge_bytes": (0.44 * MIB, "B", "bytes read again per state file and shard: file ends of 128 KiB, with footers", "bench-requests, `--threads` 1, 2 and 4"),
    "message_bytes": (30, "B", "bytes of a message per state file that a merge names", "test of the codec: 0.3 MB for 10,000"),
}
VALUE = {name: value for name, (value, *_) in CONSTANTS.items()}

# Constants of the code.
UNIT_BYTES = 512 * MIB
SHARDS, GROUPS, MESSAGE_BYTES, TASKS_PER_THREAD = 64, 12, 64 * MIB, 2
MAX_TASKS_PER_POLL = 4
SHARD_STATE_BYTES, MIN_SHARD_BYTES = 16 * MIB, 256 * 1024
CONCURRENT_STATE_FILES = 4
# Assumed: time to the first byte of a GET, and a store's prices per thousand.
LATENCY, GET_PRICE, PUT_PRICE = 0.03, 0.0004, 0.005
# Generated lake: share of the bytes in each table; the firewall, with the most units, comes first.
TABLES = (0.66, 0.15, 0.08, 0.05, 0.06)


class Window:
    """A scan of a number of days and bytes on a number of processors; a part of the days is new."""

    def __init__(self, bytes_a_day, days, cores, new=1.0):
        bytes_read = bytes_a_day * days
        self.cores, self.new_bytes = cores, bytes_read * new
        of_tables = [max(days, bytes_read * part / UNIT_BYTES) for part in TABLES]
        self.units, self.firewall_units = sum(of_tables), of_tables[0]
        self.new_units = self.units * new
        state_bytes = bytes_read * VALUE["state"]
        self.shards = min(SHARDS, max(cores, int(state_bytes / SHARD_STATE_BYTES)), 1 + int(state_bytes / MIN_SHARD_BYTES))
        self.tasks = self.shards * GROUPS
        self.state_files = self.units * VALUE["state_files"]
        cost = self.new_bytes / GIB * VALUE["rollup"] + self.new_units * VALUE["unit_overhead"]
        self.rollup_limits = {"workers": cost / cores, "coordinator": self.new_units * VALUE["coordinator_unit"]}
        work = bytes_read / GIB * VALUE["merge"] + self.tasks * VALUE["task_overhead"]
        work += self.state_files * self.shards * VALUE["file_overhead"]
        self.merge_gets = self.state_files * self.shards * VALUE["merge_gets"]
        self.merge_bytes = bytes_read * VALUE["state"] + self.state_files * self.shards * VALUE["merge_bytes"]
        self.merge_limits = {
            "workers": work / cores,
            "longest task": work * VALUE["merge_spread"] / self.tasks,
            "requests": self.merge_gets * LATENCY / min(cores * TASKS_PER_THREAD, self.tasks) / CONCURRENT_STATE_FILES,
            "coordinator": self.tasks * VALUE["coordinator_task"],
        }

    def rollups(self):
        return max(self.rollup_limits.values())

    def merges(self):
        return max(self.merge_limits.values())

    def limit(self, limits):
        return max(limits, key=limits.get)


def files_a_message_holds():
    """The number of state files that a merge task can name, so that the tasks of one answer fit a message."""
    return MESSAGE_BYTES / MAX_TASKS_PER_POLL / VALUE["message_bytes"]


def span(seconds):
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.2g} s"


def count(number):
    for size, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{name}"
    return f"{number:.0f}"


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def constants():
    def shown(value, unit):
        return {"B": f"{value / 1024:.3g} KiB" if value >= 1024 else f"{value:.0f} B", "s": f"{1000 * value:.3g} ms"}.get(unit, f"{value:g} {unit}".strip())
    rows = [(f"`{name}`", shown(value, unit), what, how) for name, (value, unit, what, how) in CONSTANTS.items()]
    table(("constant", "value", "meaning", "source"), rows)


def times(arguments):
    rows = []
    for workers in arguments.workers:
        cores = workers * arguments.cores
        day = Window(arguments.bytes_per_day, 1, cores)
        span_of_all = Window(arguments.bytes_per_day, arguments.days, cores)
        moved = Window(arguments.bytes_per_day, arguments.days, cores, 1 / arguments.days)
        rows.append((
            workers, span(day.rollups()), f"{span(day.merges())} ({day.limit(day.merge_limits)})",
            span(arguments.days * (day.rollups() + day.merges())), span(span_of_all.rollups()),
            f"{span(span_of_all.merges())} ({span_of_all.limit(span_of_all.merge_limits)})",
            span(moved.rollups() + moved.merges()), f"{day.new_bytes / day.rollups() / 1e6:,.0f} MB/s"))
    table(("workers", "one day: rollups", "one day: merges (limit)", f"backfill, {arguments.days} windows of one day",
           f"one window of {arguments.days} days: rollups", "its merges (limit)", "the same window moved by a day", "lake read at"), rows)


def requests(arguments):
    cores = max(arguments.workers) * arguments.cores
    rows = []
    for days in (1, 7, 30, arguments.days):
        window = Window(arguments.bytes_per_day, days, cores)
        lists = 1 + window.units / 1000 + window.state_files * 2 / 1000
        gets, puts = window.units * VALUE["lake_gets"] + window.state_files * 2, window.state_files * 2
        price = (gets + window.merge_gets) / 1000 * GET_PRICE + (puts + lists) / 1000 * PUT_PRICE
        named = window.firewall_units
        sent = named * VALUE["message_bytes"] * window.tasks
        rows.append((
            days, count(window.units), count(lists), count(gets), count(puts), count(window.merge_gets),
            f"{window.merge_bytes / 1e12:.3g} TB", f"{price:,.0f}", f"{window.units * VALUE['coordinator_unit_bytes'] / GIB:.2g} GiB", f"{sent / GIB:.2g} GiB", f"{100 * named / files_a_message_holds():.1f} %"))
    table(("days", "units", "LIST", "GET of units", "PUT", "GET of merges", "read by merges", "$", "coordinator's memory", "sent with merge tasks", "share of the longest message"), rows)


def most(arguments):
    files = files_a_message_holds()
    day = Window(arguments.bytes_per_day, 1, 1)
    print(f"A window can hold {count(files)} state files of one rollup: {files / day.firewall_units:.0f} days of {arguments.bytes_per_day / 1e12:.2g} TB.")
    of_unit = arguments.bytes_per_day / day.units / GIB * VALUE["rollup"] + VALUE["unit_overhead"]
    print(f"The coordinator hands out {1 / VALUE['coordinator_unit']:.0f} units a second, as many as {of_unit / VALUE['coordinator_unit'] / arguments.cores:.0f} workers of {arguments.cores} cores compute.")


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes-per-day", type=float, default=1e12)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--cores", type=int, default=8, help="of a worker")
    parser.add_argument("--workers", type=numbers, default=[1, 10, 100, 500])
    arguments = parser.parse_args()
    constants()
    times(arguments)
    requests(arguments)
    most(arguments)


if __name__ == "__main__":
    main()
