#!/usr/bin/env python3
"""How high recorded command and control ranks among recorded benign days; prints Markdown (docs/attack-quality.md).

usage: attack_precision.py HINDCAST SAMPLES [--hosts 40] [--work DIR]

Merges three recorded channels (Empire by Zeek, Empire by Sysmon, APT29 by Zeek) into each of two recorded days of a workstation,
at several offsets. The workstation is cloned to HOSTS hosts, each shifted by up to two hours, with a quarter of its pairs left
out, so that destinations are shared as those of an office are. Hindcast ranks pairs by the score of `beacon_scores`. Next to it stand
three published rules over the same pairs: RITA 5 (Active Countermeasures), the jitter rule (deviation of the gaps over their
mean), and Flare (Austin Taylor: the share of gaps near the most frequent one).
"""
import argparse
import collections
import gzip
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime, timezone
from pathlib import Path

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit("this needs PyArrow: pip install pyarrow")

OFFSETS_H = [1, 9, 17]
START_S = 1_772_409_600  # 2026-03-02T00:00:00Z
DAY_S = 86_400


def zeek_rows(path):
    """(time, source, destination, port, protocol, sent, received) of a Zeek conn.log in tabs."""
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
    names = []
    with opened as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            if cells[0] == "#fields":
                names = cells[1:]
            elif not line.startswith("#"):
                row = dict(zip(names, cells))
                count = lambda key: int(row[key]) if row.get(key, "-") != "-" else None
                yield (float(row["ts"]), row["id.orig_h"], row["id.resp_h"], int(row["id.resp_p"]), row["proto"],
                       count("orig_bytes"), count("resp_bytes"))


def json_rows(path, separator, remote=None):
    """The same of a Zeek conn.log in JSON, of which `remote` (address, port) keeps one channel."""
    for line in open(path):
        row = json.loads(line)
        key = lambda side, what: row.get(f"id{separator}{side}_{what}")
        if row.get("@stream", "conn") == "conn" and remote in (None, (key("resp", "h"), key("resp", "p"))):
            yield (row["ts"], key("orig", "h"), key("resp", "h"), key("resp", "p"), row["proto"],
                   row.get("orig_bytes"), row.get("resp_bytes"))


def sysmon_rows(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            for line in archive.read(name).decode().splitlines():
                row = json.loads(line)
                if row.get("EventID") == 3 and row.get("DestinationIp") == "10.10.10.5":
                    time = datetime.fromisoformat(row["UtcTime"]).replace(tzinfo=timezone.utc).timestamp()
                    yield time, row["SourceIp"], row["DestinationIp"], int(row["DestinationPort"]), row["Protocol"], None, None


def attacks(samples):
    """The recorded channels, each as rows from second 0 on: its longest pair."""
    empire = list(json_rows(samples / "attacks/c2/empire_conn.log", "."))
    apt29 = list(json_rows(samples / "otrf/apt29_day1_zeek.log", "_", ("192.168.0.4", 8443)))
    sysmon = list(sysmon_rows(samples / "otrf/empire_dllinjection_LoadLibrary_CreateRemoteThread.zip"))
    for name, rows in [("Empire (Zeek)", empire), ("APT29 (Zeek)", apt29), ("Empire (Sysmon)", sysmon)]:
        pair, _ = collections.Counter(row[1:3] for row in rows).most_common(1)[0]
        own = sorted((row for row in rows if row[1:3] == pair), key=lambda row: row[0])
        yield name, [(row[0] - own[0][0], *row[3:]) for row in own]


def merged(benign, channels, hosts, offset_h, seed):
    """Rows of a day (second, source, destination, port, protocol, sent, received), and the pairs that are attacks."""
    rng = random.Random(seed)
    start = min(row[0] for row in benign)
    host = collections.Counter(row[1] for row in benign if row[1].startswith("10.")).most_common(1)[0][0]
    pairs = sorted({row[1:3] for row in benign})
    rows, truth = [], {}
    for clone in range(hosts):
        own = host if clone == 0 else f"10.0.{1 + clone // 200}.{1 + clone % 200}"
        shift = 0 if clone == 0 else rng.uniform(-7_200, 7_200)
        kept = {pair for pair in pairs if clone == 0 or rng.random() < 0.75}
        for time, source, destination, *rest in benign:
            if (source, destination) in kept:
                named = [own if name == host else name for name in (source, destination)]
                rows.append(((time - start + shift) % DAY_S, *named, *rest))
    for index, (name, channel) in enumerate(channels):
        victim = f"10.0.1.{1 + (7 * index + offset_h) % max(hosts - 1, 1)}" if hosts > 1 else host
        remote = f"203.0.113.{10 + index}"
        truth[(victim, remote)] = name
        for time, *rest in channel:
            second = offset_h * 3_600 + time
            if second < DAY_S:
                rows.append((second, victim, remote, *rest))
    return sorted(rows, key=lambda row: row[0]), truth


def hindcast_ranks(rows, hindcast, work):
    """Pairs by their score, best first. Pairs without a row have none."""
    folder = work / "lake" / "CommonSecurityLog" / "date=2026-03-02"
    folder.mkdir(parents=True)
    second, source, destination, port, protocol, sent, received = zip(*rows)
    pq.write_table(pa.table({
        "TimeGenerated": pa.array([int((START_S + value) * 1e6) for value in second], pa.timestamp("us", "UTC")),
        "DeviceVendor": pa.array(["Palo Alto Networks"] * len(rows)),
        "DeviceEventClassID": pa.array(["TRAFFIC"] * len(rows)),
        "SourceIP": pa.array(source), "DestinationIP": pa.array(destination),
        "DestinationPort": pa.array(port, pa.int64()), "Protocol": pa.array(protocol),
        "SentBytes": pa.array(sent, pa.int64()), "ReceivedBytes": pa.array(received, pa.int64()),
    }), folder / "part-0.parquet")
    config = work / "hindcast.toml"
    config.write_text('[network]\ndeclared_external = ["203.0.113.0/24", "198.18.0.0/15"]\n')
    subprocess.run([hindcast, "scan", "--lake", work / "lake", "--config", config, "--out", work / "out", "--no-cache", "--quiet",
                    "--only", "beaconing,beacon_scores"], check=True)
    table = pq.read_table(work / "out" / "tables" / "beacon_scores.parquet").to_pylist()
    return {(row["source_ip"], row["destination_ip"]): row["score"] for row in table}


def quartiles(values):
    """First quartile, median and third quartile, the halves without the median."""
    middle = len(values) // 2
    return statistics.median(values[:middle]), statistics.median(values), statistics.median(values[middle + len(values) % 2:])


def statistical(values, default):
    """RITA 5: the mean of one minus Bowley's skewness and of one minus the median deviation over the median."""
    values = sorted(values)
    first, median, third = quartiles(values)
    skew = (first + third - 2 * median) / (third - first) if third - first >= 10 and median not in (first, third) else 0
    deviation = statistics.median(abs(value - median) for value in values)
    regular = max(0.0, (median - deviation) / median) if median >= 1 else default
    return (1 - abs(skew) + regular) / 2


def rita(times, sizes, first, last):
    """RITA 5: the mean of the scores of times, sizes, duration and histogram."""
    seconds = sorted({int(time) for time in times})
    gaps = [b - a for a, b in zip(seconds, seconds[1:])]
    if len(gaps) < 3:
        return 0.0
    bars = [0] * 24
    for time in times:
        bars[min(int((time - first) / (last - first) * 24), 23)] += 1
    present = sum(bar > 0 for bar in bars)
    mean = sum(bars) / 24
    flat = max(0.0, 1 - statistics.pstdev(bars) / mean)
    width = math.ceil(max(bars) * 0.05)
    modes = collections.Counter(bar // width for bar in bars if bar).most_common(2)
    bimodal = min(1.0, sum(count for _, count in modes) / max(present - 1, 1)) if present >= 11 else 0.0
    run = longest = 0
    for bar in bars * 2:
        run = run + 1 if bar else 0
        longest = max(longest, run)
    steady = max((seconds[-1] - seconds[0]) / (last - first), min(longest, 24) / 12) if present >= 6 else 0.0
    known = [size for size in sizes if size is not None]
    size = statistical(known, 0) if len(known) >= 3 else 0.0
    return (statistical(gaps, 1) + size + min(1.0, steady) + max(flat, bimodal)) / 4


def prevalence_modifier(sources, hosts):
    """RITA 5: 0.15 more for a destination of at most 2 % of the hosts, 0.15 less for one of at least half of them."""
    return 0.15 * ((sources <= 0.02 * hosts) - (sources >= 0.5 * hosts))


def jitter(times):
    """Minus the deviation of the gaps over their mean: regular pairs are high."""
    gaps = [b - a for a, b in zip(times, times[1:])]
    mean = sum(gaps) / len(gaps)
    return -statistics.pstdev(gaps) / mean if mean > 0 else -math.inf


def flare(times):
    """The share of the gaps within two seconds of the most frequent one."""
    gaps = [round(b - a) for a, b in zip(times, times[1:])]
    top = collections.Counter(gaps).most_common(1)[0][0]
    return sum(abs(gap - top) <= 2 for gap in gaps) / len(gaps)


def peers(rows):
    """Scores of the published rules for each pair with an external side and at least ten sessions."""
    by_pair = collections.defaultdict(list)
    for second, source, destination, _, _, sent, received in rows:
        if source.startswith("10.") and not destination.startswith("10."):
            by_pair[(source, destination)].append((second, (sent or 0) + (received or 0) if sent is not None else None))
    hosts = len({source for source, _ in by_pair})
    sources = collections.Counter(destination for _, destination in by_pair)
    by_pair = {pair: sessions for pair, sessions in by_pair.items() if len(sessions) >= 10}
    first, last = rows[0][0], rows[-1][0]
    scores = {"RITA 5": {}, "jitter rule": {}, "Flare": {}}
    for pair, sessions in by_pair.items():
        times = [time for time, _ in sessions]
        scores["RITA 5"][pair] = (rita(times, [size for _, size in sessions], first, last)
                                  + prevalence_modifier(sources[pair[1]], hosts))
        scores["jitter rule"][pair] = jitter(times)
        scores["Flare"][pair] = flare(times)
    return scores


def quality(scores, truth):
    """Precision at 1, 5 and 10 and average precision. Of equal scores, benign pairs come first."""
    order = sorted(scores, key=lambda pair: (-scores[pair], pair in truth))
    hits = [pair in truth for pair in order]
    at = [sum(hits[:count]) / min(count, len(truth)) for count in (1, 5, 10)]
    found = [rank for rank, hit in enumerate(hits, 1) if hit]
    return at + [sum((index + 1) / rank for index, rank in enumerate(found)) / len(truth)], found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hindcast", type=Path)
    parser.add_argument("samples", type=Path, help="the folder of recordings")
    parser.add_argument("--hosts", type=int, default=40, help="hosts that the benign workstation is cloned to")
    parser.add_argument("--work", type=Path, help="folder for lakes and results, instead of a temporary one")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="hindcast-precision-"))
    channels = list(attacks(options.samples))
    print(f"{options.hosts} hosts. Channels: " + ", ".join(f"{name}, {len(rows)} sessions" for name, rows in channels) + ".\n")
    print("| day, start | rule | P@1 | P@5 | P@10 | average precision | ranks |\n| --- |" + " --- |" * 6)
    total = collections.defaultdict(list)
    for day in (1, 2):
        benign = [row for row in zeek_rows(options.samples / f"attacks/benign/day{day}_conn.log.gz")]
        for offset_h in OFFSETS_H:
            rows, truth = merged(benign, channels, options.hosts, offset_h, 100 * day + offset_h)
            ranked = {"Hindcast": hindcast_ranks(rows, options.hindcast.resolve(), work / f"{day}-{offset_h}")} | peers(rows)
            for rule, scores in ranked.items():
                values, found = quality(scores, truth)
                total[rule].append(values)
                shown = " | ".join(f"{value:.2f}" for value in values)
                print(f"| {day}, {offset_h} h | {rule} | {shown} | {', '.join(map(str, found))} |", flush=True)
    for rule, values in total.items():
        print(f"| **mean** | {rule} | " + " | ".join(f"{sum(column) / len(column):.2f}" for column in zip(*values)) + " | |")


if __name__ == "__main__":
    main()
