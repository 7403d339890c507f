#!/usr/bin/env python3
"""Prints the tables of docs/capacity.md from a few measured constants. Change them here and print the tables again.

    benches/capacity_model.py [--bytes-per-day 1e12] [--days 180] [--cores 8] [--workers 1,10,100,500] [--json]

Each constant names the command that measures it. Everything else is arithmetic, and so extrapolated. With --json, each line is an object: a
window of one day and one of all days, for each number of workers.
"""

import argparse
import json

GIB, MIB = 2**30, 2**20

# name: (value, unit, meaning, how it is measured)
CONSTANTS = {
    "rollup": (43.0, "s/GiB", "processor time to read and group one GiB of Parquet", "scan: first run minus second"),
    "combine": (49.0, "s/GiB", "processor time to combine one GiB of state into a level", "ten days: merges that make a level against merges that find it, as a part of `merge`"),
    "merge": (12.0, "s/GiB", "processor time to merge and analyse one GiB of Parquet in the window", "scan, second run: minus `task_overhead` of its tasks"),
    "state": (0.094, "", "bytes of state per byte of the lake", "scan: size of the state"),
    "level": (0.7, "", "bytes of a level per byte of the state that it combines", "ten days: the level of a week"),
    "moved": (0.84, "", "part of the merges that a window moved by a day does again", "ten days: a window moved by a day against the same without stored rows"),
    "unit_overhead": (0.0105, "s", "processor time of a unit with hardly any rows", "small lake: first run minus second, per unit"),
    "task_overhead": (0.04, "s", "processor time of a merge task with hardly any state", "scan of 1.8 million rows, second run: minus `merge`, per task"),
    "file_overhead": (0.0006, "s", "processor time of a state file with hardly any rows, per shard", "small lake: second run minus `task_overhead`, per file"),
    "merge_spread": (1.5, "", "longest merge task, as a multiple of the mean", "assumed: shards of equal weight; it was 5.2 with ranges of 64 buckets"),
    "state_files": (6.4, "", "state files per unit, each table weighted by its bytes", "`--dry-run`: rollups that a unit feeds"),
    "coordinator_unit": (0.0009, "s", "coordinator's processor time per unit", "bench-capacity, 10,000 units, first run"),
    "coordinator_task": (0.0017, "s", "coordinator's processor time per merge task", "bench-capacity, 1,000 units, second run"),
    "coordinator_idle": (0.0001, "", "processors of the coordinator per idle worker", "bench-capacity"),
    "coordinator_base_bytes": (150 * MIB, "B", "coordinator's memory besides units and tasks", "bench-capacity: a new coordinator's peak at 300 units"),
    "coordinator_unit_bytes": (2.4 * 1024, "B", "coordinator's memory per unit", "what is known of its state 1.3 KiB, measured (below); by their fields: a file 0.7 KiB, weights of large state 0.4 KiB"),
    "coordinator_task_bytes": (3.4 * 1024, "B", "coordinator's memory per task that ended in the last minute", "bench-capacity: the first peak minus that of a new coordinator"),
    "lake_gets": (3.0, "", "GET per file of the lake", "bench-requests, first run"),
    "merge_gets": (4.3, "", "GET per state file and shard, all analyses together", "bench-requests, `--threads` 1, 2 and 4"),
    "merge_bytes": (0.44 * MIB, "B", "bytes read again per state file and shard: file ends of 128 KiB, with footers", "bench-requests, `--threads` 1, 2 and 4"),
    "message_bytes": (30, "B", "bytes of a message per state file that a merge names", "test of the codec: 0.3 MB for 10,000"),
}
VALUE = {name: value for name, (value, *_) in CONSTANTS.items()}

# Constants of the code.
UNIT_BYTES = 512 * MIB
SHARDS, GROUPS, MESSAGE_BYTES, TASKS_PER_THREAD = 4096, 12, 64 * MIB, 2
MAX_TASKS_PER_POLL = 4
SHARD_STATE_BYTES, MIN_SHARD_BYTES = 16 * MIB, 256 * 1024
CONCURRENT_STATE_FILES, KEPT_SECONDS = 4, 60
# Levels: days of a span, files of a date that are worth combining, files that one run combines, bytes of a part.
SPANS, LEAST_FILES_OF_DATE, FAN_IN, PART_BYTES = (28, 7, 1), 8, 32, 16 * MIB
# Assumed: time to the first byte of a GET.
LATENCY = 0.03
# Generated lake: share of the bytes in each table; the firewall, with the most units, comes first.
TABLES = (0.66, 0.15, 0.08, 0.05, 0.06)
# List prices of December 2026 in dollars: 8 processors with 32 GB for an hour, and a thousand requests. docs/capacity.md has the sources.
CLOUDS = {
    "AWS": {"instance": "m7i.2xlarge", "hour": 0.4032, "get": 0.0004, "put": 0.005},
    "Google Cloud": {"instance": "n2-standard-8", "hour": 0.3885, "get": 0.0004, "put": 0.005},
    "Azure": {"instance": "D8s v5", "hour": 0.384, "get": 0.0004, "put": 0.005},
}


def spans_of(days):
    """The mean number of spans of each length that a window of so many days is divided into. Spans of 28 days begin on every fourth Monday."""
    counts = dict.fromkeys(SPANS, 0)
    for offset in range(SPANS[0]):
        day = offset
        while day < offset + days:
            length = next(length for length in SPANS if day % length == 0 and day + length <= offset + days)
            counts[length] += 1
            day += length
    return {length: count / SPANS[0] for length, count in counts.items()}


def parts_of(state_bytes):
    """Files of a level of so much state."""
    return min(SHARDS, max(1.0, state_bytes * VALUE["level"] / PART_BYTES))


class Combined:
    """One rollup of a table in a window: the files that a shard reads, and the requests that make its levels."""

    def __init__(self, files_a_day, state_a_day, days):
        is_combined = files_a_day >= LEAST_FILES_OF_DATE
        spans = spans_of(days)
        self.files = sum(count for length, count in spans.items() if length > 1)
        self.files += spans[1] * (1 if is_combined else files_a_day)
        self.gets = self.puts = self.combined_bytes = 0.0
        if is_combined:
            read, written = self.runs(files_a_day)
            parts = parts_of(state_a_day)
            self.gets += days * (read + parts)
            self.puts += days * (written + parts)
            self.combined_bytes += days * state_a_day * (2 if written else 1)
        for shorter, longer in ((1, 7), (7, 28)):
            count = days // longer
            sources = longer // shorter
            each = parts_of(state_a_day * shorter) if shorter > 1 or is_combined else files_a_day
            made = parts_of(state_a_day * longer)
            # A task reads what overlaps its buckets of each source: about its own share and one file more.
            self.gets += count * sources * (each + made) * 2
            self.puts += count * made
            self.combined_bytes += count * state_a_day * longer * VALUE["level"]

    @staticmethod
    def runs(files):
        """Requests that read and write the runs of so many files."""
        read = written = 0
        while files > FAN_IN:
            runs = -(-files // FAN_IN)
            read, written, files = read + files, written + runs * FAN_IN, runs
        return read, written


class Window:
    """A scan of a number of days and bytes on a number of processors; a part of the days is new."""

    def __init__(self, bytes_a_day, days, cores, new=1.0):
        bytes_read = bytes_a_day * days
        self.bytes_read, self.days, self.cores, self.new_bytes = bytes_read, days, cores, bytes_read * new
        of_tables = [max(1.0, bytes_a_day * part / UNIT_BYTES) for part in TABLES]
        self.units, self.firewall_units = sum(of_tables) * days, of_tables[0] * days
        self.new_units = self.units * new
        state_bytes = bytes_read * VALUE["state"]
        self.shards = min(SHARDS, max(cores * TASKS_PER_THREAD, int(state_bytes / SHARD_STATE_BYTES)), 1 + int(state_bytes / MIN_SHARD_BYTES))
        self.tasks = self.shards * GROUPS
        self.state_files = self.units * VALUE["state_files"]
        rollups = VALUE["state_files"]
        combined = [
            Combined(units, bytes_a_day * part * VALUE["state"] / rollups, days) for units, part in zip(of_tables, TABLES)
        ]
        # What is made new: the levels of the new days; longer ones are made as weeks and months end.
        self.level_gets, self.level_puts = (rollups * new * sum(getattr(one, name) for one in combined) for name in ("gets", "puts"))
        self.combined_bytes = rollups * new * sum(one.combined_bytes for one in combined)
        self.files = rollups * sum(one.files for one in combined)
        cost = self.new_bytes / GIB * VALUE["rollup"] + self.new_units * VALUE["unit_overhead"]
        levels = self.combined_bytes / GIB * VALUE["combine"]
        self.rollup_limits = {"workers": (cost + levels) / cores, "coordinator": self.new_units * VALUE["coordinator_unit"]}
        self.merge_gets = self.files * self.shards * VALUE["merge_gets"]
        self.merge_bytes = state_bytes * VALUE["level"] + self.files * self.shards * VALUE["merge_bytes"]
        self.merge_limits = self.limits_of_merges(1.0)
        self.moved_limits = self.limits_of_merges(VALUE["moved"])

    def limits_of_merges(self, part):
        """The limits of merges that compute a part of the keys."""
        work = part * self.bytes_read / GIB * VALUE["merge"] + self.tasks * VALUE["task_overhead"]
        work += self.files * self.shards * VALUE["file_overhead"]
        return {
            "workers": work / self.cores,
            "longest task": work * VALUE["merge_spread"] / self.tasks,
            "requests": self.merge_gets * LATENCY / min(self.cores * TASKS_PER_THREAD, self.tasks) / CONCURRENT_STATE_FILES,
            "coordinator": self.tasks * VALUE["coordinator_task"],
        }

    def rollups(self):
        return max(self.rollup_limits.values())

    def merges(self):
        return max(self.merge_limits.values())

    def moved(self):
        """The same window moved by the days that are new."""
        return self.rollups() + max(self.moved_limits.values())

    def coordinator_bytes(self):
        of_last_minute = min(self.new_units, KEPT_SECONDS / VALUE["coordinator_unit"])
        of_units = self.units * VALUE["coordinator_unit_bytes"] + of_last_minute * VALUE["coordinator_task_bytes"]
        return VALUE["coordinator_base_bytes"] + of_units

    def limit(self, limits):
        return max(limits, key=limits.get)

    def request_dollars(self, cloud):
        gets = self.new_units * VALUE["lake_gets"] + self.new_units * VALUE["state_files"] * 2 + self.level_gets + self.merge_gets
        puts = self.new_units * VALUE["state_files"] * 2 + self.level_puts + self.lists()
        return (gets * cloud["get"] + puts * cloud["put"]) / 1000

    def lists(self):
        return 1 + self.units / 1000 + self.state_files * 2 / 1000


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
        if unit == "B" and value >= MIB:
            return f"{value / MIB:.3g} MiB"
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
            span(moved.moved()), f"{day.new_bytes / day.rollups() / 1e6:,.0f} MB/s"))
    table(("workers", "one day: state", "one day: merges (limit)", f"backfill, {arguments.days} windows of one day",
           f"one window of {arguments.days} days: state", "its merges (limit)", "the same window moved by a day", "lake read at"), rows)


def requests(arguments):
    cores = max(arguments.workers) * arguments.cores
    rows = []
    for days in (1, 7, 30, arguments.days):
        window = Window(arguments.bytes_per_day, days, cores)
        gets, puts = window.units * VALUE["lake_gets"] + window.state_files * 2, window.state_files * 2
        named = window.files / len(TABLES) / VALUE["state_files"]
        sent = window.files * VALUE["message_bytes"] * window.shards
        rows.append((
            days, count(window.units), count(window.lists()), count(gets), count(puts), count(window.level_gets), count(window.level_puts),
            count(window.merge_gets), f"{window.merge_bytes / 1e12:.3g} TB", f"{window.coordinator_bytes() / GIB:.2g} GiB",
            f"{sent / GIB:.2g} GiB", f"{named:.0f}"))
    table(("days", "units", "LIST", "GET of units", "PUT of units", "GET of levels", "PUT of levels", "GET of merges", "read by merges",
           "coordinator's memory", "sent with merge tasks", "files of a rollup that a task reads"), rows)


def dollars(arguments):
    """What a terabyte costs: its state, and its part of the merges of a window; on so many workers that nobody waits for one task."""
    cores = arguments.cores * 100
    rows = []
    for name, cloud in CLOUDS.items():
        def of(window, seconds):
            hours = seconds * cores / 8 / 3600
            return (hours * cloud["hour"] + window.request_dollars(cloud)) / (arguments.bytes_per_day / 1e12)
        day = Window(arguments.bytes_per_day, 1, cores)
        every = Window(arguments.bytes_per_day, arguments.days, cores)
        moved = Window(arguments.bytes_per_day, arguments.days, cores, 1 / arguments.days)
        rows.append((
            name, cloud["instance"], f"{cloud['hour']:.3f}", f"{cloud['get'] * 1000:.2f}", f"{cloud['put'] * 1000:.2f}",
            f"{of(day, day.rollups() + day.merges()):.2f}", f"{of(every, every.rollups() + every.merges()) / arguments.days:.2f}",
            f"{of(moved, moved.moved()):.2f}"))
    table(("cloud", "instance", "$ an hour", "$ a million GET", "$ a million PUT, LIST", "a window of one day, $ per TB",
           f"a window of {arguments.days} days, $ per TB", "the same moved by a day, $"), rows)


def as_json(arguments):
    """One object per line: a window of one day, and one of all days, for each number of workers."""
    for workers in arguments.workers:
        for days in sorted({1, arguments.days}):
            window = Window(arguments.bytes_per_day, days, workers * arguments.cores)
            moved = Window(arguments.bytes_per_day, days, workers * arguments.cores, 1 / days)
            print(json.dumps({
                "terabytes_per_day": arguments.bytes_per_day / 1e12, "days": days, "workers": workers,
                "rollup_seconds": round(window.rollups(), 1), "merge_seconds": round(window.merges(), 1),
                "moved_seconds": round(moved.moved(), 1), "gets": round(window.merge_gets),
                "coordinator_bytes": round(window.coordinator_bytes()), "merge_limit": window.limit(window.merge_limits),
                "level_gets": round(window.level_gets), "merge_bytes": round(window.merge_bytes)}))


def most(arguments):
    day = Window(arguments.bytes_per_day, 1, 1)
    of_unit = arguments.bytes_per_day / day.units / GIB * VALUE["rollup"] + VALUE["unit_overhead"]
    print(f"A merge task can name {count(files_a_message_holds())} state files.")
    print(f"The coordinator hands out {1 / VALUE['coordinator_unit']:.0f} units a second, as many as {of_unit / VALUE['coordinator_unit'] / arguments.cores:.0f} workers of {arguments.cores} cores compute.")


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes-per-day", type=float, default=1e12)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--cores", type=int, default=8, help="of a worker")
    parser.add_argument("--workers", type=numbers, default=[1, 10, 100, 500])
    parser.add_argument("--json", action="store_true", help="one object per line instead of tables")
    arguments = parser.parse_args()
    if arguments.json:
        return as_json(arguments)
    constants()
    times(arguments)
    requests(arguments)
    dollars(arguments)
    most(arguments)


if __name__ == "__main__":
    main()
