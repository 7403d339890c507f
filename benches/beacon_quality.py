#!/usr/bin/env python3
"""Recall and precision of beacon scores on generated data, against the plain jitter rule; prints Markdown (docs/beacons.md).

usage: beacon_quality.py HINDCAST [--seed 2] [--repeats 10] [--work DIR]

Generates three weeks of sessions (beacon_traffic.py), writes them as a lake, scans it with the default preset, and compares the
tables `beacon_scores` and `beaconing` with the generated pairs. The score finds a pair if it is at least `min_score`; the
plain rule finds it if `beaconing` lists it. Weights and thresholds were chosen on seed 1; report other seeds.
"""
import argparse
import collections
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit("this needs NumPy and PyArrow: pip install numpy pyarrow")

import beacon_traffic as truth

arguments = argparse.ArgumentParser()
arguments.add_argument("hindcast")
arguments.add_argument("--seed", type=int, default=2)
arguments.add_argument("--repeats", type=int, default=10, help="beacons per cell of the grid")
arguments.add_argument("--work", help="folder for lake and results, instead of a temporary one")
options = arguments.parse_args()
MIN_SCORE = 0.5  # [beacon_scores] min_score of the default preset


def write_lake(lake, pairs):
    """One file per day, with rows in the order of time as a firewall writes them."""
    times = np.concatenate([pair["times"] for pair in pairs])
    order = np.argsort(times, kind="stable")
    owner = np.repeat(np.arange(len(pairs)), [len(pair["times"]) for pair in pairs])[order]
    times = times[order]
    sent = np.concatenate([pair["sent"] for pair in pairs])[order]
    days = (times // truth.DAY).astype(int)
    bounds = np.searchsorted(days, np.arange(truth.DAYS + 1))

    def text(key, owners):
        return pa.DictionaryArray.from_arrays(pa.array(owners.astype(np.int32)), [pair[key] for pair in pairs]).dictionary_decode()

    for day in range(truth.DAYS):
        rows = slice(bounds[day], bounds[day + 1])
        owners = owner[rows]
        micros = truth.START_US + (times[rows] * 1_000_000).astype(np.int64)
        table = pa.table({
            "TimeGenerated": pa.array(micros, pa.timestamp("us", "UTC")),
            "DeviceVendor": pa.array(["Palo Alto Networks"] * len(owners)),
            "DeviceEventClassID": pa.array(["TRAFFIC"] * len(owners)),
            "SourceIP": text("source", owners),
            "DestinationIP": text("destination", owners),
            "DestinationPort": pa.array(np.array([pair["port"] for pair in pairs], dtype=np.int64)[owners]),
            "Protocol": text("protocol", owners),
            "SentBytes": pa.array(sent[rows]),
            "ReceivedBytes": pa.array(sent[rows] * 3 // 2),
        })
        date = np.datetime64(truth.START_US, "us").astype("datetime64[D]") + day
        folder = lake / "CommonSecurityLog" / f"date={date}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "part-0.parquet", compression="zstd")


def scan(work):
    command = [options.hindcast, "scan", "--lake", str(work / "lake"), "--out", str(work / "out"), "--no-cache", "--quiet",
               "--only", "beaconing,beacon_scores"]
    subprocess.run(command, check=True)
    read = lambda name: pq.read_table(work / "out" / "tables" / f"{name}.parquet").to_pylist()
    key = lambda row: (row["source_ip"], row["destination_ip"])
    return {key(row): row for row in read("beacon_scores")}, {key(row) for row in read("beaconing")}


def main():
    work = Path(options.work) if options.work else Path(tempfile.mkdtemp(prefix="hindcast-beacons-"))
    pairs = truth.generate(options.seed, options.repeats)
    write_lake(work / "lake", pairs)
    rows, plain = scan(work)
    for pair in pairs:
        key = (pair["source"], pair["destination"])
        pair["score"] = rows[key]["score"] if key in rows else 0.0
        pair["by_score"], pair["by_rule"] = pair["score"] >= MIN_SCORE, key in plain
    sessions = sum(len(pair["times"]) for pair in pairs)
    print(f"Seed {options.seed}: {len(pairs):,} pairs, {sessions:,} sessions, {truth.DAYS} days, {options.repeats} beacons a cell.\n")
    print_recall([pair for pair in pairs if pair["cell"]])
    print_others(pairs)
    print_precision(pairs)


def print_recall(beacons):
    print("Recall, in percent: by score / by the jitter rule.\n")
    print("| interval | loss | " + " | ".join(f"jitter {jitter} %" for jitter in truth.JITTERS) + " |")
    print("| --- | --- |" + " --- |" * len(truth.JITTERS))
    cells = collections.defaultdict(list)
    for pair in beacons:
        cells[pair["cell"]].append(pair)
    percent = lambda found: f"{100 * np.mean(list(found)):.0f}"
    for interval in truth.INTERVALS:
        for loss in truth.LOSSES:
            of = [cells[(jitter, interval, loss)] for jitter in truth.JITTERS]
            shown = [percent(p["by_score"] for p in cell) + " / " + percent(p["by_rule"] for p in cell) for cell in of]
            print(f"| {interval} | {loss} % | " + " | ".join(shown) + " |")
    print(f"| all | | {percent(p['by_score'] for p in beacons)} / {percent(p['by_rule'] for p in beacons)} |"
          + " |" * (len(truth.JITTERS) - 1) + "\n")


def print_others(pairs):
    print("Every kind of pair, by median score. The last column: how many of the grid's beacons score above nineteen in twenty of the kind.\n")
    print("| kind | pairs | score: median | 95th percentile | found by score | by the jitter rule | beacons above it |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    kinds = collections.defaultdict(list)
    for pair in pairs:
        kinds[pair["label"]].append(pair)
    beacons = np.array([pair["score"] for pair in kinds["beacon"]])
    scores_of = lambda kind: np.array([pair["score"] for pair in kinds[kind]])
    for kind in sorted(kinds, key=lambda kind: -np.median(scores_of(kind))):
        scores, found = scores_of(kind), [sum(pair[by] for pair in kinds[kind]) for by in ("by_score", "by_rule")]
        high = np.percentile(scores, 95)
        above = "" if kind.startswith("beacon") else f"{100 * np.mean(beacons > high):.0f} %"
        name = "**" + kind + "**" if kind.startswith("beacon") else kind
        print(f"| {name} | {len(scores)} | {np.median(scores):.2f} | {high:.2f} | {found[0]} | {found[1]} | {above} |")
    print()


def print_precision(pairs):
    print("| | beacons found | of | benign pairs raised | of | precision | recall |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    is_beacon = np.array([pair["label"].startswith("beacon") for pair in pairs])
    for name, by in [(f"score of at least {MIN_SCORE}", "by_score"), ("jitter rule", "by_rule")]:
        found = np.array([pair[by] for pair in pairs])
        right, wrong = int((found & is_beacon).sum()), int((found & ~is_beacon).sum())
        print(f"| {name} | {right} | {is_beacon.sum()} | {wrong} | {(~is_beacon).sum()} | {right / (right + wrong):.3f} | {right / is_beacon.sum():.3f} |")


if __name__ == "__main__":
    main()
