#!/usr/bin/env python3
"""Response times of pages over a result folder with many findings, which it generates: benches/pages.py HINDCAST [FINDINGS]

Needs pyarrow. Prints the time of the search itself (the Server-Timing header) and of the whole response.
"""
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SEARCHES = ["", "sort:-first", "src:10.1.2.3 beacon:>=0.9 sort:-risk", "rclone", "severity:>=high -suite:firewall",
            "bytes_sent:>=500000 sort:-bytes_sent", "user:user4* technique:T1567", "*nothing*"]
RUNS = 9


def finding(number):
    is_upload = number % 3 == 0
    source, user = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", f"user{number % 500}"
    day = f"2026-01-{1 + number % 28:02}"
    if is_upload:
        entities = [{"kind": "user", "name": user, "full_name": f"{user}@corp.example"},
                    {"kind": "device", "name": f"ws-{number % 2000}"}]
        evidence = {"account_name": user, "bytes_sent": number * 10, "device_name": f"ws-{number % 2000}", "blob_writes": None,
                    "command_line": f"rclone.exe copy C:\\Data\\{number} remote:drop --transfers 20",
                    "remote_url": "drop.blob.core.windows.net", "timestamp": f"{day}T03:31:44.349533Z"}
    else:
        entities = [{"kind": "ip", "name": source}, {"kind": "ip", "name": f"203.0.113.{number % 250}"}]
        evidence = {"source_ip": source, "destination_ip": f"203.0.113.{number % 250}", "score": number % 101 / 100,
                    "beats": number % 999, "interval_s": 60.5, "missed_beats": 1, "timing_score": 0.9}
    return {
        "id": f"{number:024x}", "analysis": "cli_storage_uploads" if is_upload else "beacon_scores",
        "suite": "exfiltration" if is_upload else "firewall",
        "title": "Data uploaded to cloud storage" if is_upload else "Beacon to an external address",
        "severity": ("low", "medium", "high", "critical")[number % 4],
        "first_seen": f"{day}T03:31:44.349533Z", "last_seen": f"{day}T04:31:44.349533Z",
        "stage": "upload" if is_upload else "beacon",
        "explanation": f"what was seen of number {number}, in a sentence about as long as such sentences are",
        "entities": json.dumps(entities), "techniques": json.dumps(
            [{"id": "T1567.002", "name": "Exfiltration to Cloud Storage"} if is_upload else
             {"id": "T1071", "name": "Application Layer Protocol"}]),
        "evidence": json.dumps(evidence), "watchlists": "[]", "confidence": number % 100, "rows": number}


def write(folder, count):
    findings = [finding(number) for number in range(count)]
    pq.write_table(pa.Table.from_pylist(findings), folder / "findings.parquet")
    entities = {}
    for one in findings:
        for entity in json.loads(one["entities"]):
            entities.setdefault((entity["kind"], entity["name"]), entity)
    (folder / "entities.jsonl").write_text("".join(
        json.dumps({**entity, "score": index % 100, "level": "LOW", "contributions": []}) + "\n"
        for index, entity in enumerate(entities.values())))
    (folder / "incidents.jsonl").write_text("")
    (folder / "suppressed.jsonl").write_text("")
    (folder / "parameters.json").write_text("{}")
    (folder / "summary.json").write_text(json.dumps({
        "window": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-29T00:00:00Z"}, "suites": {},
        "risk": {"score": 99, "level": "HIGH", "explanation": []}, "risk_by_day": [], "findings": count,
        "suppressed": {}, "incidents": 0, "hubs": [], "analyses": {}, "disabled": {},
        "coverage": {"tables": [], "complete": True}, "version": "0", "config_hash": ""}))
    return len(entities)


def timed(url):
    started = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
        duration = re.search(r"dur=([\d.]+)", answer.headers.get("server-timing", ""))
    return (time.perf_counter() - started) * 1e3, float(duration[1]) if duration else 0.0


def main():
    hindcast, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        entities = write(Path(folder), count)
        started = time.perf_counter()
        view = subprocess.Popen([hindcast, "view", folder, "--no-open"], stdout=subprocess.PIPE, text=True)
        try:
            url = re.search(r"http://[\d.:]+", view.stdout.readline())[0]
            loaded = time.perf_counter() - started
            status = Path(f"/proc/{view.pid}/status").read_text()
            memory = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) >> 10
            print(f"{count} findings, {entities} entities: read in {loaded:.1f} s, {memory} MiB")
            print(f"{'median of ' + str(RUNS):<44} search ms  answer ms")
            for search in SEARCHES:
                runs = [timed(f"{url}/findings?" + urllib.parse.urlencode({"q": search})) for _ in range(RUNS)]
                whole, own = (sorted(values)[RUNS // 2] for values in zip(*runs))
                print(f"{search or '(all)':<44} {own:9.1f} {whole:10.1f}")
            for path in ("/", "/entities?name=7", "/entity?kind=user&name=user42"):
                whole = sorted(timed(url + path)[0] for _ in range(RUNS))[RUNS // 2]
                print(f"{path:<44} {'':>9} {whole:10.1f}")
        finally:
            view.kill()


if __name__ == "__main__":
    main()
