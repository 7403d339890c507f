#!/usr/bin/env python3
"""Compares every table of the Office 365 suite with the same in pandas, on generated rows, on the demo lake and on real exports.

usage: compare.py HINDCAST [--samples DIR] [--lake LAKE --geoip FILE.mmdb]

Without --lake: generated rows, then a demo lake; with --samples also the two OfficeActivity exports of Microsoft's
training lab. Each comparison runs with the default user types and with all, with and without a location database. Needs
pandas, pyarrow, maxminddb and mmdb-writer.
"""
import argparse
import ipaddress
import random
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import maxminddb
    import mmdb_writer
    import netaddr
    import pandas as pd
except ImportError:
    sys.exit("this needs: pip install pandas pyarrow maxminddb mmdb-writer")

COLUMNS = [
    "TimeGenerated", "UserType", "RecordType", "Operation", "UserId", "ClientIP", "Client_IPAddress", "UserAgent",
]
PLACES = [
    ("GB", "United Kingdom", "London", 51.5, -0.1), ("KP", "North Korea", "Pyongyang", 39.0, 125.75),
    ("SE", "Sweden", "Lund", 55.7, 13.2), ("SE", "Sweden", None, 62.0, 15.0), ("US", "United States", "Boston", 42.4, -71.1),
]


def address_of(text):
    """An address without port, brackets and zone; other text unchanged; None if there is none."""
    text = (text or "").strip()
    if text in ("", "<null>"):
        return None
    forms = [text, text.split("]")[0].removeprefix("[")]
    if text.count(":") == 1:
        forms.append(text.split(":")[0])
    for form in forms:
        try:
            address = ipaddress.ip_address(form.split("%")[0])
        except ValueError:
            continue
        return str(getattr(address, "ipv4_mapped", None) or address)
    return text


def user_of(text):
    text = (text or "").strip().lower()
    return None if text in ("", "<null>") else text


def account_of(user):
    return None if user is None else user.rsplit("\\", 1)[1] if "\\" in user else user.split("@")[0] or user


def rows_of(raw, user_types):
    """The suite's rows: user, address and hour as ANALYSES has them."""
    rows = raw if not user_types else raw[raw["UserType"].isin(user_types)]
    rows = rows.rename(columns={"RecordType": "record_type", "Operation": "operation"})
    mail = rows["Client_IPAddress"].map(address_of)
    time = pd.to_datetime(rows["TimeGenerated"], utc=True)
    return rows.assign(
        user=rows["UserId"].map(user_of),
        ip=mail.where(mail.notna(), rows["ClientIP"].map(address_of)),
        user_agent=rows["UserAgent"].map(lambda agent: agent or None),
        time=time,
        hour=time.dt.floor("h"),
    )


def located(rows, database):
    def place(address):
        record = None
        if database is not None and isinstance(address, str):
            try:
                record = database.get(address)
            except ValueError:
                pass
        record = record or {}
        name = lambda key: record.get(key, {}).get("names", {}).get("en")
        at = record.get("location", {})
        return record.get("country", {}).get("iso_code"), name("country"), name("city"), at.get("latitude"), at.get("longitude")

    places = {address: place(address) for address in rows["ip"].unique()}
    for number, column in enumerate(["country_code", "country", "city", "latitude", "longitude"]):
        rows[column] = rows["ip"].map(lambda address, number=number: places.get(address, (None,) * 5)[number])
    return rows


def grouped(frame, keys, **columns):
    return frame.groupby(keys, dropna=False).agg(**columns).reset_index()


def tables_of(rows, has_database):
    """Every table of the suite, in its order."""
    count, ips = ("time", "size"), ("ip", "nunique")
    tables = {}
    summary = grouped(rows, ["record_type", "operation"], distinct_ips=ips, distinct_users=("user", "nunique"), operations=count)
    tables["operation_summary"] = summary.sort_values(["operations", "record_type", "operation"], ascending=[False, True, True])
    tables["common_operations"] = tables["operation_summary"][["record_type", "operation", "operations"]].head(10)
    pairs = grouped(rows, ["user", "operation"], distinct_ips=ips, operations=count)
    pairs = pairs[pairs["distinct_ips"] > 1]
    tables["ip_variability"] = pairs.sort_values(["distinct_ips", "operations", "user", "operation"], ascending=[False, False, True, True])
    tables["operation_matrix_by_ip"] = grouped(rows, ["ip", "country_code", "operation"], operations=count).sort_values(["ip", "country_code", "operation"])
    if has_database:
        keys = set(map(tuple, pairs[["user", "operation"]].fillna("").values))
        of_pairs = rows[[pair in keys for pair in map(tuple, rows[["user", "operation"]].fillna("").values)]]
        places = grouped(of_pairs, ["user", "country_code", "city"], distinct_ips=ips, operations=count)
        places = places[places["distinct_ips"] > 1]
        tables["multi_location_users"] = places.sort_values(
            ["distinct_ips", "operations", "user", "country_code", "city"], ascending=[False, False, True, True, True])
        matrix = ["country_code", "city", "operation"]
        tables["operation_matrix"] = grouped(rows, matrix, operations=count).sort_values(matrix)
        known = rows[rows["country_code"].notna()]
        tables["ip_locations"] = known[["ip", "country_code", "country", "city", "latitude", "longitude"]].drop_duplicates().sort_values("ip")
    is_file = (rows["record_type"] == "SharePointFileOperation").astype("int64")
    timeline = grouped(rows.assign(is_file=is_file), ["hour", "operation"], operations=count, sharepoint_file_operations=("is_file", "sum"))
    tables["operation_timeline"] = timeline.sort_values(["hour", "operation"])
    keys = ["user", "operation", "ip", "user_agent", "hour"]
    top = grouped(rows, keys, operations=count).sort_values(["operations", *keys], ascending=[False] + [True] * 5).head(50)
    top.insert(1, "account", top["user"].map(lambda user: account_of(user) if isinstance(user, str) else None))
    tables["top_accounts"] = top
    pivot = grouped(top, ["account", "operation"], mean_operations=("operations", "mean"), total=("operations", "sum"), rows=("operations", "size"))
    tables["top_accounts_pivot"] = pivot.rename(columns={"total": "operations"}).sort_values(["account", "operation"])
    earliest = rows.sort_values(["time", "user", "ip"])
    rare = earliest.groupby(["country_code", "operation", "user_agent"], dropna=False).agg(
        events=("time", "size"), users=("user", "nunique"), user=("user", lambda users: users.iloc[0]),
        ip=("ip", lambda addresses: addresses.iloc[0]), first_seen=("time", "min"), last_seen=("time", "max")).reset_index()
    rare = rare[rare["events"] <= 2]
    tables["rare_combinations"] = rare.sort_values(["events", "country_code", "operation", "user_agent"])
    return tables


def plain(frame):
    """Rows as comparable tuples: every missing value is None, times are text."""
    def cell(value):
        if isinstance(value, pd.Timestamp):
            return value.isoformat()
        if pd.isna(value):
            return None
        return round(float(value), 9) if isinstance(value, (int, float)) or hasattr(value, "dtype") else value

    return [tuple(cell(value) for value in row) for row in frame.itertuples(index=False, name=None)]


def compare(hindcast, lake, geoip, raw, what):
    failures = 0
    for user_types in (["Regular"], []):
        for database in (geoip, None):
            out = Path(tempfile.mkdtemp(prefix="office-parity-"))
            config = out / "config.toml"
            config.write_text(f"[office365]\nuser_types = {user_types}\n")
            command = [hindcast, "scan", "--lake", lake, "--suite", "office365", "--no-cache", "--quiet", "--config", config, "--out", out / "out"]
            subprocess.run(command + (["--geoip", database] if database else []), check=True)
            reader = maxminddb.open_database(str(database)) if database else None
            expected = tables_of(located(rows_of(raw, user_types), reader), database is not None)
            written = {path.stem for path in (out / "out" / "tables").glob("*.parquet")}
            assert written == set(expected), written ^ set(expected)
            sizes = []
            for name, table in expected.items():
                actual = pd.read_parquet(out / "out" / "tables" / f"{name}.parquet")
                is_same = list(actual.columns) == list(table.columns) and plain(actual) == plain(table)
                failures += not is_same
                sizes.append(f"{name} {len(table)}" + ("" if is_same else " DIFFERS"))
                if not is_same:
                    left, right = plain(actual), plain(table)
                    first = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
                    print(f"  {name}: {list(actual.columns)} / {list(table.columns)}, {len(left)} / {len(right)} rows, from row {first}:")
                    print(f"    {left[first:first + 2]}\n    {right[first:first + 2]}")
            print(f"{what}, {user_types or 'all'}, {'located' if database else 'not located'}: {', '.join(sizes)}")
    return failures


def write_lake(folder, raw):
    raw = raw.assign(date=pd.to_datetime(raw["TimeGenerated"], utc=True).dt.date.astype(str))
    for date, rows in raw.groupby("date"):
        target = folder / "OfficeActivity" / f"date={date}"
        target.mkdir(parents=True)
        rows[COLUMNS].to_parquet(target / "part-0.parquet", index=False)


def write_database(path, raw):
    """A location for two of three networks that occur, always the same for a network."""
    writer = mmdb_writer.MMDBWriter(6, "Parity-City", languages=["en"], ipv4_compatible=True)
    networks = set()
    for text in set(raw["ClientIP"].dropna()) | set(raw["Client_IPAddress"].dropna()):
        try:
            address = ipaddress.ip_address(address_of(text) or "")
        except ValueError:
            continue
        networks.add(str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False)))
    for number, network in enumerate(sorted(networks)):
        if number % 3 == 2:
            continue
        code, country, city, latitude, longitude = PLACES[number % len(PLACES)]
        record = {"country": {"iso_code": code, "names": {"en": country}}, "location": {"latitude": latitude, "longitude": longitude}}
        if city:
            record["city"] = {"names": {"en": city, "de": "?"}}
        writer.insert_network(netaddr.IPSet([network]), record)
    writer.to_db_file(str(path))


def made_up(count):
    rng = random.Random(7)
    addresses = [f"81.2.{rng.randrange(4)}.{rng.randrange(6)}" for _ in range(12)] + ["2a02:ff00::1", "10.0.0.1", "::1", "no address"]

    def address():
        text = rng.choice(addresses)
        port = f"[{text.upper()}]:{rng.randrange(9999)}" if ":" in text else f"{text}:{rng.randrange(9999)}"
        return rng.choice([text, text, port if text != "no address" else text, "", "<null>", None])

    def row():
        time = pd.Timestamp("2026-03-01", tz="UTC") + pd.Timedelta(microseconds=rng.randrange(3 * 86_400_000_000))
        user = rng.choice(["Ada", "ada", "bob", "cyd"]) + rng.choice(["@corp.example", "@Corp.Example", "@other.example"])
        return {
            "TimeGenerated": time.isoformat(),
            "UserType": rng.choice(["Regular"] * 6 + ["Admin", "System", None]),
            "RecordType": rng.choice(["SharePointFileOperation", "SharePointFileOperation", "ExchangeItem", "50", None]),
            "Operation": rng.choice(["FileAccessed"] * 8 + ["Send"] * 4 + [f"Rare{rng.randrange(300)}", None]),
            "UserId": rng.choice([user] * 8 + ["S-1-5-18", "CORP\\Dan", "", None]),
            "ClientIP": address(),
            "Client_IPAddress": address() if rng.random() < 0.4 else None,
            "UserAgent": rng.choice(["Edge", "Edge", "Word", "", None, f"odd/{rng.randrange(400)}"]),
        }

    return pd.DataFrame([row() for _ in range(count)], columns=COLUMNS)


def samples(folder):
    frames = []
    for name in ["office_activity.csv", "office_activity_inbox_rule.csv"]:
        frame = pd.read_csv(folder / "sentinel-training-lab" / name, dtype=str, encoding="utf-8-sig")
        time = next(column for column in ["TimeGenerated [UTC]", "Start_Time [UTC]"] if column in frame)
        times = pd.to_datetime(frame[time], format="%m/%d/%Y, %I:%M:%S.%f %p", utc=True)
        frames.append(frame.assign(TimeGenerated=times.map(pd.Timestamp.isoformat)).reindex(columns=COLUMNS))
    return pd.concat(frames, ignore_index=True).astype(object).where(lambda cells: cells.notna(), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hindcast")
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--geoip", type=Path)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="office-parity-"))
    lakes = []
    if options.lake:
        lakes.append((options.lake, options.geoip, None))
    else:
        own = [("made up", made_up(20_000))]
        if options.samples and options.samples.is_dir():
            own.append(("training lab", samples(options.samples)))
        for what, raw in own:
            lake, geoip = work / what.replace(" ", "-"), work / f"{what.replace(' ', '-')}.mmdb"
            write_lake(lake, raw)
            write_database(geoip, raw)
            lakes.append((lake, geoip, what))
        demo = work / "demo"
        subprocess.run([options.hindcast, "demo", demo], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if (demo / "OfficeActivity").is_dir():
            lakes.append((demo, demo / "geoip.mmdb", "demo"))
    failures = 0
    for lake, geoip, what in lakes:
        files = sorted((lake / "OfficeActivity").glob("date=*/**/*.parquet"))
        raw = pd.concat([pd.read_parquet(file, columns=COLUMNS) for file in files], ignore_index=True)
        raw = raw.astype(object).where(lambda cells: cells.notna(), None)
        failures += compare(options.hindcast, lake, geoip, raw, f"{what or lake} ({len(raw)} rows)")
    sys.exit(f"{failures} tables differ" if failures else None)


if __name__ == "__main__":
    main()
