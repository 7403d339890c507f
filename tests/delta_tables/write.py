"""Writes Delta tables, and the rows of their versions in plain folders.

    write.py versions OUT    OUT/delta: a table with all kinds of commits; OUT/plain-N: the rows of its version N
                             OUT/vacuumed: the same table, whose replaced files are deleted
    write.py by-hand OUT     OUT/vectors, OUT/named, OUT/by-id: tables with deletion vectors, with a checkpoint with sidecars, and with
                             mapped columns; OUT/plain-FORM: their rows

Commit N of a table was made N hours after 2026-02-01, as far as its log says.
"""

import json
import os
import pathlib
import random
import shutil
import struct
import sys
import uuid
import zlib
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

TABLE = "CommonSecurityLog"
START = datetime(2026, 1, 5, tzinfo=timezone.utc)
COMMITS = datetime(2026, 2, 1, tzinfo=timezone.utc)


def rows(day, count, first_id=0):
    """Sessions of one day."""
    source = random.Random(day)
    return [
        {
            "id": first_id + number,
            "TimeGenerated": START + timedelta(days=day, microseconds=source.randrange(86_400_000_000)),
            "DeviceVendor": "Palo Alto Networks",
            "DeviceEventClassID": "TRAFFIC",
            "DeviceAction": source.choice(["allow", "deny"]),
            "SourceIP": f"10.0.0.{source.randrange(1, 9)}",
            "DestinationIP": f"203.0.113.{source.randrange(1, 99)}",
            "SentBytes": source.randrange(1, 1_000_000),
            "ReceivedBytes": source.randrange(1, 10_000),
        }
        for number in range(count)
    ]


def table_of(sessions):
    schema = [("id", pa.int64()), ("TimeGenerated", pa.timestamp("us", "UTC"))]
    schema += [(name, pa.int64() if isinstance(value, int) else pa.string()) for name, value in list(sessions[0].items())[2:]]
    return pa.Table.from_pylist(sessions, schema=pa.schema(schema))


def write_plain(table, folder):
    days = pc.strftime(table["TimeGenerated"], format="%Y-%m-%d")
    for day in sorted(set(days.to_pylist())):
        target = folder / TABLE / f"date={day}"
        target.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.filter(pc.equal(days, day)), target / "rows.parquet")


def date_commits(folder):
    for commit in (folder / "_delta_log").glob("*.json"):
        number = commit.name.partition(".")[0]
        if number.isdigit():
            time = (COMMITS + timedelta(hours=int(number))).timestamp()
            os.utime(commit, (time, time))


def versions(out):
    url = str(out / "delta" / TABLE)
    write_deltalake(url, table_of(rows(0, 400)))
    later = [row | {"DestinationPort": 443 if row["id"] % 2 else 53} for row in rows(1, 400, 1000)]
    write_deltalake(url, table_of(later), mode="append", schema_mode="merge")
    DeltaTable(url).update(predicate="\"SourceIP\" = '10.0.0.3'", updates={"SentBytes": '"SentBytes" * 2'})
    changed = [row | {"SentBytes": 7} for row in later[:50]]
    changed += [row | {"DestinationPort": 22} for row in rows(2, 50, 2000)]
    merge = DeltaTable(url).merge(table_of(changed), "t.id = s.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    DeltaTable(url).delete("\"SourceIP\" = '10.0.0.4'")
    for day in [3, 4]:
        write_deltalake(url, table_of([row | {"DestinationPort": 80} for row in rows(day, 100, day * 1000)]), mode="append")
    assert DeltaTable(url).optimize.compact()["numFilesRemoved"] > 1
    DeltaTable(url).create_checkpoint()
    write_deltalake(url, table_of([row | {"DestinationPort": 80} for row in rows(5, 100, 5000)]), mode="append")
    latest = DeltaTable(url).version()
    for version in range(latest + 1):
        write_plain(DeltaTable(url, version=version).to_pyarrow_table(), out / f"plain-{version}")
    shutil.copytree(out / "delta", out / "vacuumed")
    DeltaTable(str(out / "vacuumed" / TABLE)).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    for form in ["delta", "vacuumed"]:
        date_commits(out / form / TABLE)
    return latest


def z85(data):
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    words = struct.unpack(f">{len(data) // 4}I", data)
    return "".join(digits[word // 85**place % 85] for word in words for place in (4, 3, 2, 1, 0))


def vector(deleted):
    """A 64-bit roaring bitmap in the portable format, after Delta's magic number; of positions below 65,536."""
    head = struct.pack("<IQI", 1681511377, 1, 0)
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(deleted) - 1, 16)
    return head + bitmap + struct.pack(f"<{len(deleted)}H", *sorted(deleted))


class ByHand:
    """A Delta table whose log is written here, because deltalake writes no such features."""

    def __init__(self, folder, features, fields, configuration):
        self.folder, self.version = folder / TABLE, 0
        (self.folder / "_delta_log").mkdir(parents=True)
        schema = json.dumps({"type": "struct", "fields": fields})
        self.start = [
            {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}},
            {
                "metaData": {
                    "id": str(uuid.UUID(int=1)),
                    "format": {"provider": "parquet", "options": {}},
                    "schemaString": schema,
                    "partitionColumns": [],
                    "configuration": configuration,
                    "createdTime": 0,
                }
            },
        ]

    def add(self, table, name, time="TimeGenerated", **more):
        pq.write_table(table, self.folder / name, row_group_size=37)
        bounds = pc.min_max(table[time]).as_py()
        text = {side: {time: bounds[side].strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"} for side in bounds}
        stats = {"numRecords": table.num_rows, "minValues": text["min"], "maxValues": text["max"], "nullCount": {time: 0}}
        size = (self.folder / name).stat().st_size
        return {
            "add": {
                "path": name,
                "partitionValues": {},
                "size": size,
                "modificationTime": 1_769_904_000_000 + self.version,
                "dataChange": True,
                "stats": json.dumps(stats),
            }
            | more
        }

    def commit(self, actions):
        lines = (self.start if self.version == 0 else []) + actions
        self.write(f"{self.version:020}.json", lines)
        self.version += 1

    def write(self, name, lines):
        (self.folder / "_delta_log" / name).write_text("\n".join(json.dumps(line) for line in lines) + "\n")


def field(name, kind, **metadata):
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


def fields_of(table, number=None):
    kinds = {"TimeGenerated": "timestamp", "id": "long", "SentBytes": "long", "ReceivedBytes": "long"}
    return [
        field(
            name,
            kinds.get(name, "string"),
            **({"delta.columnMapping.id": place + 1, "delta.columnMapping.physicalName": f"col-{place + 1}"} if number else {}),
        )
        for place, name in enumerate(table.column_names)
    ]


def without(table, deleted):
    return table.take([place for place in range(table.num_rows) if place not in deleted])


def with_vectors(out):
    """Rows deleted by vectors: one in the log, two in one file. Their commits are in a checkpoint with a sidecar."""
    days = [table_of(rows(day, 300, day * 1000)) for day in range(3)]
    delta = ByHand(out / "vectors", ["deletionVectors", "v2Checkpoint"], fields_of(days[0]), {})
    deleted = [set(range(0, 300, 3)), set(range(37, 74)), set(range(250, 300))]
    inline, stored = vector(deleted[0]), [vector(deleted[1]), vector(deleted[2])]
    name, content, offsets = uuid.UUID(int=7), b"\x01", []
    for own in stored:
        offsets.append(len(content))
        content += struct.pack(">I", len(own)) + own + struct.pack(">I", zlib.crc32(own))
    (delta.folder / "d0").mkdir()
    (delta.folder / "d0" / f"deletion_vector_{name}.bin").write_bytes(content)
    padded = inline + bytes(-len(inline) % 4)
    vectors = [{"storageType": "i", "pathOrInlineDv": z85(padded), "sizeInBytes": len(inline), "cardinality": len(deleted[0])}]
    for own, offset, gone in zip(stored, offsets, deleted[1:]):
        path = "d0" + z85(name.bytes)
        vectors.append({"storageType": "u", "pathOrInlineDv": path, "offset": offset, "sizeInBytes": len(own), "cardinality": len(gone)})
    whole = [delta.add(day, f"day{place}.parquet") for place, day in enumerate(days)]
    delta.commit(whole)
    removed = [{"remove": {"path": f"day{place}.parquet", "deletionTimestamp": 0, "dataChange": True}} for place in range(3)]
    added = [delta.add(day, f"day{place}.parquet", deletionVector=vectors[place]) for place, day in enumerate(days)]
    delta.commit(removed + added)
    sidecar = [{key: value for key, value in line["add"].items()} for line in added]
    for line in sidecar:
        line["partitionValues"] = []
    vector_type = pa.struct(
        [("storageType", pa.string()), ("pathOrInlineDv", pa.string()), ("offset", pa.int32()), ("sizeInBytes", pa.int32()), ("cardinality", pa.int64())]
    )
    add_type = pa.struct(
        [
            ("path", pa.string()),
            ("partitionValues", pa.map_(pa.string(), pa.string())),
            ("size", pa.int64()),
            ("modificationTime", pa.int64()),
            ("dataChange", pa.bool_()),
            ("stats", pa.string()),
            ("deletionVector", vector_type),
        ]
    )
    part = delta.folder / "_delta_log" / "_sidecars" / "part.parquet"
    part.parent.mkdir()
    pq.write_table(pa.table({"add": pa.array(sidecar, add_type)}), part)
    delta.write(
        f"{1:020}.checkpoint.{uuid.UUID(int=9)}.json",
        [{"checkpointMetadata": {"version": 1}}]
        + delta.start
        + [{"sidecar": {"path": "part.parquet", "sizeInBytes": part.stat().st_size, "modificationTime": 0}}],
    )
    (delta.folder / "_delta_log" / f"{0:020}.json").unlink()
    more = table_of(rows(3, 100, 3000))
    delta.commit([delta.add(more, "day3.parquet")])
    write_plain(pa.concat_tables([without(day, gone) for day, gone in zip(days, deleted)] + [more]), out / "plain-vectors")


def with_names(out, form, mode):
    """Columns with other names in the files; with ids, the names in the files are not even those of the log. One column was renamed,
    and one dropped, whose name another column has now."""
    days = [table_of(rows(day, 300, day * 1000)) for day in range(2)]
    delta = ByHand(out / form, ["columnMapping"], fields_of(days[0], True), {"delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "90"})
    actions = []
    for place, day in enumerate(days):
        stored = [
            pa.field(f"other-{number}" if mode == "id" else f"col-{number}", own.type, metadata={"PARQUET:field_id": str(number)})
            for number, own in enumerate(day.schema, 1)
        ]
        stored.append(pa.field("SourceIP", pa.string(), metadata={"PARQUET:field_id": "90"}))
        columns = day.columns + [pa.array(["192.0.2.1"] * day.num_rows)]
        table = pa.Table.from_arrays(columns, schema=pa.schema(stored))
        action = delta.add(table, f"day{place}.parquet", time=stored[1].name)
        action["add"]["stats"] = action["add"]["stats"].replace("other-", "col-")
        actions.append(action)
    delta.commit(actions)
    write_plain(pa.concat_tables(days), out / f"plain-{form}")


def main(arguments):
    match arguments:
        case ["versions", out]:
            print(versions(pathlib.Path(out)))
        case ["by-hand", out]:
            with_vectors(pathlib.Path(out))
            with_names(pathlib.Path(out), "named", "name")
            with_names(pathlib.Path(out), "by-id", "id")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
