#!/usr/bin/env python3
"""What Hindcast finds in recorded attacks, and what stands above it; prints Markdown (docs/attack-quality.md).

usage: attack_quality.py HINDCAST SAMPLES [--only TEXT] [--work DIR]

SAMPLES is the folder of recordings (`attacks/`, `otrf/`, `msticpy/`, `sentinel-training-lab/`). Each recording is imported into a
lake of its own and scanned with the default preset, in which all vendors of firewalls count. A recording says what is true of
it: attacks, each by the entities that a finding must name, or that nothing in it is an attack.
"""
import argparse
import gzip
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

SEVERITIES = ["low", "medium", "high", "critical"]


@dataclass
class Attack:
    """Something that must be found: a finding of one of the analyses that names all entities."""
    what: str
    entities: list
    analyses: list = field(default_factory=list)
    text: str = ""  # What its explanation or its time must have besides.


@dataclass
class Recording:
    """Files to import, and what is true of them."""
    name: str
    files: list
    attacks: list = field(default_factory=list)
    table: str = ""
    external: list = field(default_factory=list)
    keep: str = ""  # Only lines with this text, besides headers.
    mapping: str = ""  # How its columns are named, for the import.


# Those of the 44 tests that make an archive.
ARCHIVES = [*range(10), *range(11, 18), 20, 24, 25]
GATEWAY = """[[tables]]
table = "DeviceNetworkEvents"
time = ["TimeGenerated"]
constants = { DeviceName = "gateway" }
columns = { BytesSent = "TotalBytesSent" }
"""
BEACON = ["beaconing", "beacon_scores"]
RECORDINGS = [
    Recording("Empire agent, 50 minutes", ["attacks/c2/empire_conn.log"],
              [Attack("channel to 198.51.100.12", ["10.0.9.12", "198.51.100.12"], BEACON)]),
    Recording("DNS tunnel: iodine, MX", ["attacks/dns/AndIodine-MX/dns.log.gz", "attacks/dns/AndIodine-MX/conn.log"],
              [Attack("tunnel below ggy666.tk", ["172.16.1.15", "ggy666.tk"], ["dns_tunnels"])]),
    Recording("DNS tunnel: dns2tcp, KEY", ["attacks/dns/dns2tcp-key/dns.log.gz", "attacks/dns/dns2tcp-key/conn.log"],
              [Attack("tunnel below ggy666.tk", ["192.168.68.114", "ggy666.tk"], ["dns_tunnels"])]),
    Recording("DNS, ordinary", ["attacks/dns/normal/dns.log.gz", "attacks/dns/normal/conn.log.gz"]),
    Recording("DNS tunnel by its volume alone", ["attacks/minimal/dns.log"],
              [Attack("one connection of 1.9 MB to port 53", [], ["dns_tunneling"])]),
    Recording("connections that are still open", ["attacks/open_conn"],
              [Attack("open connection to 52.33.59.39", ["52.33.59.39"], ["long_connections", "data_exfiltration"])]),
    Recording("SSDP multicast", ["attacks/minimal/ssdp.log.gz"]),
    Recording("domain controller and workstation poll alike", ["attacks/minimal/fw.csv.gz"],
              [Attack("controller polls 203.0.113.9", ["10.0.0.5", "203.0.113.9"], BEACON),
               Attack("workstation polls 203.0.113.10", ["10.0.1.7", "203.0.113.10"], BEACON)], table="CommonSecurityLog"),
    Recording("the same, and 1.9 GB out", ["attacks/minimal/fw2.csv.gz"],
              [Attack("controller sends to 203.0.113.9", ["10.0.0.5", "203.0.113.9"], ["data_exfiltration"]),
               Attack("workstation sends to 203.0.113.10", ["10.0.1.7", "203.0.113.10"], ["data_exfiltration"])],
              table="CommonSecurityLog"),
    Recording("workstation at work, day 1", ["attacks/benign/day1_conn.log.gz", "attacks/benign/day1_ssl.log.gz"]),
    Recording("workstation at work, day 2", ["attacks/benign/day2_conn.log.gz", "attacks/benign/day2_ssl.log.gz"]),
    Recording("day 1, outbound alone", ["attacks/benign/day1_conn.log.gz"], keep="\t10.0.0.20\t"),
    Recording("day 2, outbound alone", ["attacks/benign/day2_conn.log.gz"], keep="\t10.0.0.21\t"),
    Recording("one archive with a password", ["attacks/minimal/proc.json"],
              [Attack("rar a -hp of C:\\finance", [], ["compression_staging"])], table="DeviceProcessEvents"),
    Recording("APT29, day 1 (Zeek)", ["otrf/apt29_day1_zeek.log"],
              [Attack("channel of 10.0.1.6 to 192.168.0.4:8443", ["10.0.1.6", "192.168.0.4"], BEACON + ["long_connections"]),
               Attack("OfficeSupplies.7z to 192.168.0.4", ["10.0.1.4", "192.168.0.4"])], external=["192.168.0.4/32"]),
    Recording("Empire (Sysmon)", ["otrf/empire_dllinjection_LoadLibrary_CreateRemoteThread.zip"],
              [Attack("powershell.exe to 10.10.10.5", ["10.10.10.5"], BEACON)], table="CommonSecurityLog", external=["10.10.10.5/32"]),
    Recording("mailbox takeover", ["sentinel-training-lab/office_activity.csv"],
              [Attack("New-InboxRule, which only pins and stops", ["adelev", "175.45.176.99"], ["rare_combinations"], "New-InboxRule"),
               Attack("AnonymousLinkCreated", ["adelev", "175.45.176.99"], ["rare_combinations"], "AnonymousLinkCreated")],
              table="OfficeActivity"),
    Recording("egress of a gateway by hour", ["msticpy/TimeSeriesDemo.csv"],
              [Attack(f"spike of {hour}", ["gateway"], ["egress_spikes"], hour)
               for hour in ["2019-05-13 17", "2019-05-17 21", "2019-05-26 05"]], mapping=GATEWAY),
    Recording("archives (Atomic Red Team)", ["attacks/atomic/DeviceProcessEvents.json"],
              [Attack(f"art-{number:03}", [f"art-{number:03}"], ["compression_staging"]) for number in ARCHIVES],
              table="DeviceProcessEvents"),
]


def command(*words):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def prepared(recording, samples, work):
    """The files to import: those of the recording, or copies with only some of their lines."""
    files = [samples / name for name in recording.files]
    if not recording.keep:
        return files
    kept = []
    for path in files:
        copy = work / path.name
        with gzip.open(path, "rt") as read, gzip.open(copy, "wt") as write:
            # The source is the third column of a connection.
            write.writelines(line for line in read if line[0] == "#" or f"\t{line.split(chr(9))[2]}\t" == recording.keep)
        kept.append(copy)
    return kept


def scanned(recording, samples, work, hindcast):
    """The findings, strongest first, the incidents, and the summary of a scan of the recording."""
    work.mkdir(parents=True)
    lake, out, config = work / "lake", work / "out", work / "hindcast.toml"
    external = json.dumps(recording.external)
    config.write_text(f"[firewall]\nvendors = []\n\n[network]\ndeclared_external = {external}\n")
    table = ["--table", recording.table] if recording.table else []
    if recording.mapping:
        (work / "mapping.toml").write_text(recording.mapping)
        table += ["--mapping", work / "mapping.toml"]
    command(hindcast, "import", *prepared(recording, samples, work), "--lake", lake, *table)
    command(hindcast, "scan", "--lake", lake, "--config", config, "--out", out, "--no-cache", "--quiet", "--allow-partial")
    weight = {entity["name"]: entity["score"] for entity in reversed(lines(out / "entities.jsonl"))}

    def strength(finding):
        return SEVERITIES.index(finding["severity"]), finding["confidence"]

    findings = sorted(lines(out / "findings.jsonl"), key=strength, reverse=True)
    return findings, weight, lines(out / "incidents.jsonl"), json.loads((out / "summary.json").read_text())


def is_of(finding, attack):
    named = " ".join(entity["name"] for entity in finding["entities"])
    rule = not attack.analyses or finding["analysis"] in attack.analyses
    said = finding["explanation"] + " " + finding["first_seen"].replace("T", " ")
    return rule and attack.text in said and all(entity in named for entity in attack.entities)


def rows_of(recording, samples, work, hindcast):
    findings, weight, incidents, summary = scanned(recording, samples, work, hindcast)
    risk = f"{summary['risk']['score']} {summary['risk']['level']}"
    found_by = {finding["id"]: attack for attack in recording.attacks for finding in findings if is_of(finding, attack)}
    if not recording.attacks:
        worst = max((finding["severity"] for finding in findings), key=SEVERITIES.index, default="none")
        yield recording.name, "no attack", f"{len(findings)} findings", "", worst, risk, len(incidents), ""
    for attack in recording.attacks:
        rank = next((rank for rank, finding in enumerate(findings, 1) if is_of(finding, attack)), None)
        if rank is None:
            yield recording.name, attack.what, "**not found**", "", "", risk, len(incidents), ""
            continue
        finding = findings[rank - 1]
        above = [other for other in findings[:rank - 1] if other["id"] not in found_by]
        of_entity = max((weight.get(entity["name"], 0) for entity in finding["entities"]), default=0)
        names = sorted({f"{other['analysis']} {other['entities'][0]['name']}" for other in above})
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        severity = f"{finding['severity']}, {finding['confidence']} %"
        yield recording.name, attack.what, finding["analysis"], rank, severity, f"{of_entity}; {risk}", len(incidents), shown


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hindcast", type=Path)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--only", default="", help="recordings whose name has this text")
    parser.add_argument("--work", type=Path, help="folder for lakes and results, instead of a temporary one")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="hindcast-attacks-"))
    header = "recording", "true", "found by", "rank", "severity, confidence", "risk of entity; of run", "incidents", "false above it"
    print("| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
    try:
        for index, recording in enumerate(RECORDINGS):
            if options.only in recording.name:
                for row in rows_of(recording, options.samples, work / str(index), options.hindcast.resolve()):
                    print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
    finally:
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
