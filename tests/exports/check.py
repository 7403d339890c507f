"""Opens every export of a scan with a third-party reader: openpyxl, pyarrow, the OCSF schema, stix2 and the OASIS validator, mitreattack-python.

usage: check.py HINDCAST [OUT]     OUT: a result folder with all formats; without it the script makes a demo lake and scans it
Needs the packages of requirements.txt. PyPI has no reader for Timesketch and ASIM: the script checks their documented fields.
"""
import csv
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path

import jsonschema
import openpyxl
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
import stix2
import stix2validator
from mitreattack.navlayers import Layer
from ocsf_json_schema.embedded import OcsfJsonSchemaEmbedded

FORMATS = "parquet,csv,json,jsonl,xlsx,ocsf,navigator,timesketch,asim,stix"
SECONDS = "%Y-%m-%dT%H:%M:%S"

# learn.microsoft.com, "The Microsoft Sentinel Advanced Security Information Model (ASIM) alert schema reference", version 0.1:
# mandatory fields, fields with a list of values, and the other fields that are written.
ASIM_MANDATORY = {"EventCount", "EventStartTime", "EventEndTime", "EventType", "EventUid", "EventProduct", "EventVendor", "EventSchema",
                  "EventSchemaVersion"}
ASIM_VALUES = {
    "EventType": {"Alert"},
    "EventSubType": {"Threat", "Suspicious Activity", "Anomaly", "Compliance Violation"},
    "EventSchema": {"AlertEvent"},
    "EventSchemaVersion": {"0.1"},
    "EventSeverity": {"Informational", "Low", "Medium", "High"},
    "AlertVerdict": {"True Positive", "False Positive", "Benign Positive", "Unknown"},
    "AlertStatus": {"Active", "Closed"},
    "DetectionMethod": {"EDR", "Behavioral Analytics", "Reputation", "Threat Intelligence", "Intrusion Detection", "Automated Investigation",
                        "Antivirus", "Data Loss Prevention", "User Defined Blocked List", "Cloud Security Posture Management",
                        "Cloud Application Security", "Scheduled Alerts", "Other"},
    "IndicatorType": {"Ip", "User", "Process", "Registry", "Url", "Host", "Cloud Resource", "Application", "File", "Email", "Mailbox",
                      "Logon Session"},
    "IndicatorAssociation": {"Associated", "Targeted"},
    "UsernameType": {"UPN", "Windows", "DN", "Simple", "AWSId"},
    "DvcDomainType": {"FQDN", "Windows"},
    "ThreatCategory": {"Malware", "Ransomware", "Trojan", "Virus", "Worm", "Adware", "Spyware", "Rootkit", "Cryptominor", "Phishing", "Spam",
                       "MaliciousUrl", "Spoofing", "Security Policy Violation", "Unknown"},
}
ASIM_OTHER = {"TimeGenerated", "EventProductVersion", "EventMessage", "EventOriginalSeverity", "AlertId", "AlertName", "AlertDescription", "Rule",
              "RuleName", "ThreatConfidence", "ThreatRiskLevel", "AttackTactics", "AttackTechniques", "AdditionalFields", "Dvc", "DvcHostname",
              "DvcFQDN", "DvcDomain", "DvcIpAddr", "Hostname", "IpAddr", "User", "Username", "Url"}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def same(what, one, other):
    if one != other:
        raise AssertionError(f"{what}: {one!r} and {other!r}")


def tables(out):
    """Each table is the same in Parquet, CSV and both kinds of JSON, read by pyarrow."""
    rows = 0
    for path in sorted((out / "tables").glob("*.parquet")):
        table = pyarrow.parquet.read_table(path)
        text = path.with_suffix(".jsonl")
        same(path.stem, lines(text), json.loads(path.with_suffix(".json").read_text()))
        if table.num_rows:
            same(text.name, pyarrow.json.read_json(text).num_rows, table.num_rows)
        comma = pyarrow.csv.read_csv(path.with_suffix(".csv"), parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True))
        same(f"{path.stem}.csv", (comma.num_rows, comma.column_names), (table.num_rows, table.column_names))
        rows += table.num_rows
    findings = pyarrow.parquet.read_table(out / "findings.parquet")
    with open(out / "findings.csv", newline="") as file:
        written = list(csv.DictReader(file))
    same("findings.csv", [row["id"] for row in written], findings["id"].to_pylist())
    with open(out / "incidents.csv", newline="") as file:
        same("incidents.csv", len(list(csv.DictReader(file))), len(lines(out / "incidents.jsonl")))
    return f"{rows} rows of tables and {len(written)} findings alike in Parquet, CSV, JSON, JSONL"


def workbook(out):
    book = openpyxl.load_workbook(out / "tables.xlsx", read_only=True)
    expected = {path.stem: pyarrow.parquet.read_metadata(path).num_rows for path in (out / "tables").glob("*.parquet")}
    expected["findings"] = pyarrow.parquet.read_metadata(out / "findings.parquet").num_rows
    expected["incidents"] = len(lines(out / "incidents.jsonl"))
    same("sheets", set(book.sheetnames), set(expected))
    for name, rows in expected.items():
        cells = list(book[name].iter_rows(values_only=False))
        same(f"rows of {name}", len(cells) - 1, min(rows, 1_048_575))
        formulas = [cell.coordinate for row in cells for cell in row if cell.data_type == "f"]
        same(f"formulas in {name}", formulas, [])
    return f"{len(expected)} sheets by openpyxl, no formula in any"


@cache
def ocsf_class(version, name):
    whole = json.loads(resources.files("ocsf_json_schema").joinpath(f"ocsf/{version}.json").read_text())
    schema = OcsfJsonSchemaEmbedded(whole).get_class_schema(name)
    return jsonschema.validators.validator_for(schema)(schema)


def ocsf(out):
    counts = []
    for file, name, uid in [("findings.jsonl", "detection_finding", 2004), ("incidents.ocsf.jsonl", "incident_finding", 2005)]:
        events = lines(out / file)
        for event in events:
            same("class_uid", event["class_uid"], uid)
            for error in ocsf_class(event["metadata"]["version"], name).iter_errors(event):
                raise AssertionError(f"{file}: {'.'.join(map(str, error.path))}: {error.message}")
        counts.append(f"{len(events)} {name}")
    return f"{' and '.join(counts)} events against the schema of OCSF {events[0]['metadata']['version']}"


def navigator(out):
    text = (out / "navigator.json").read_text()
    layer = Layer(text, strict=True)
    if layer.to_dict() is None:
        raise AssertionError("the layer could not be loaded")
    loaded, own = layer.to_dict(), json.loads(text)
    same("techniques", [one["techniqueID"] for one in loaded["techniques"]], [one["techniqueID"] for one in own["techniques"]])
    same("scores", [one["score"] for one in loaded["techniques"]], [one["score"] for one in own["techniques"]])
    scores = ", ".join(f"{one['techniqueID']} {one['score']}" for one in own["techniques"])
    return f"layer {own['versions']['layer']} loaded by mitreattack-python: {scores}"


def timesketch(out):
    before = 0
    for event in lines(out / "timesketch.jsonl"):
        for field in ("message", "datetime", "timestamp_desc"):
            if not event[field]:
                raise AssertionError(f"an event without {field}: {event}")
        micros = int(datetime.fromisoformat(event["datetime"]).timestamp() * 1_000_000)
        if abs(micros - event["timestamp"]) > 1 or event["timestamp"] < before or not isinstance(event["tag"], list):
            raise AssertionError(f"time or tags of {event}")
        before = event["timestamp"]
    return f"{len(lines(out / 'timesketch.jsonl'))} events in order, with the fields Timesketch asks for"


def asim(out):
    alerts = lines(out / "asim_alert_event.jsonl")
    for alert in alerts:
        same("mandatory fields", ASIM_MANDATORY - alert.keys(), set())
        same("fields of the schema", alert.keys() - ASIM_MANDATORY - ASIM_VALUES.keys() - ASIM_OTHER, set())
        wrong = {field: alert[field] for field, values in ASIM_VALUES.items() if field in alert and alert[field] not in values}
        same("values", wrong, {})
        for field in ("TimeGenerated", "EventStartTime", "EventEndTime"):
            datetime.fromisoformat(alert[field])
    return f"{len(alerts)} alerts with the fields and values of AlertEvent {alerts[0]['EventSchemaVersion']}"


def stix(out):
    text = (out / "stix.json").read_text()
    bundle = stix2.parse(text, allow_custom=False, version="2.1")
    by_kind = {}
    for thing in bundle.objects:
        by_kind[thing.type] = by_kind.get(thing.type, 0) + 1
        if thing.type in ("ipv4-addr", "ipv6-addr", "domain-name", "url", "user-account"):
            fields = {key: value for key, value in thing.items() if key not in ("id", "type", "spec_version")}
            same("id of an observable", thing.id, type(thing)(**fields).id)
    result = stix2validator.validate_string(text, stix2validator.ValidationOptions(version="2.1", strict_types=True, strict_properties=True))
    if not result.is_valid:
        raise AssertionError("; ".join(map(str, result.errors[:5])))
    warned = Counter(re.sub(r"[\w-]+--[0-9a-f-]{36}", "ID", str(warning).split(": ", 1)[-1])[:120] for warning in result.warnings)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(by_kind.items()))
    warnings = "".join(f"\n       warns {count} times: {warning}" for warning, count in sorted(warned.items()))
    return f"bundle parsed by stix2 and valid by the OASIS validator: {counts}{warnings}"


def scanned(hindcast, folder):
    lake, out = folder / "lake", folder / "out"
    subprocess.run([hindcast, "demo", lake, "--days", "7", "--rows-per-day", "20000"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([hindcast, "scan", "--lake", lake, "--geoip", lake / "geoip.mmdb", "--no-cache", "--quiet", "--out", out, "--format", FORMATS],
                   check=True)
    return out


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(sys.argv[2]) if len(sys.argv) == 3 else scanned(sys.argv[1], Path(scratch))
        for check in (tables, workbook, ocsf, navigator, timesketch, asim, stix):
            try:
                print(f"good   {check.__name__}: {check(out)}")
            except Exception as error:  # This script looks for files that can't be read.
                wrong += 1
                print(f"WRONG  {check.__name__}: {type(error).__name__}: {str(error)[:600]}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
