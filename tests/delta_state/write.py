"""Changes a Delta table step by step: write.py OUT STEP

    by-date, flat     writes OUT/lake with two commits per day of three days, partitioned by date or not
    append            one more file of the last day
    compact, z-order  rewrites files without a change of rows
    delete            deletes the rows of one source address
    forget            leaves only a checkpoint and the newest commit in the log
"""

import pathlib
import random
import sys
import time
from datetime import datetime, timedelta, timezone

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

TABLE = "CommonSecurityLog"
START = datetime(2026, 1, 5, tzinfo=timezone.utc)


def rows(day, seed):
    source = random.Random(seed)
    sessions = [
        {
            "TimeGenerated": START + timedelta(days=day, microseconds=source.randrange(86_400_000_000)),
            "DeviceVendor": "Palo Alto Networks",
            "DeviceEventClassID": "TRAFFIC",
            "DeviceAction": source.choice(["allow", "deny"]),
            "SourceIP": f"10.0.0.{source.randrange(1, 9)}",
            "DestinationIP": f"203.0.113.{source.randrange(1, 99)}",
            "SentBytes": source.randrange(1, 1_000_000),
            "ReceivedBytes": source.randrange(1, 10_000),
            "date": (START + timedelta(days=day)).date(),
        }
        for _ in range(200)
    ]
    fields = [("TimeGenerated", pa.timestamp("us", "UTC"))]
    fields += [(name, pa.string()) for name in list(sessions[0])[1:6]]
    fields += [("SentBytes", pa.int64()), ("ReceivedBytes", pa.int64()), ("date", pa.date32())]
    return pa.Table.from_pylist(sessions, schema=pa.schema(fields))


def main(out, step):
    url = str(out / "lake" / TABLE)
    if step in ("by-date", "flat"):
        for commit in range(6):
            partition = ["date"] if step == "by-date" else None
            write_deltalake(url, rows(commit // 2, commit), mode="append", partition_by=partition)
            time.sleep(0.01)
        return
    table = DeltaTable(url)
    if step == "append":
        write_deltalake(table, rows(2, 100 + table.version()), mode="append")
    elif step == "compact":
        assert table.optimize.compact()["numFilesRemoved"] > 1
    elif step == "z-order":
        assert table.optimize.z_order(["SourceIP"])["numFilesRemoved"] > 1
    elif step == "delete":
        table.delete("\"SourceIP\" = '10.0.0.3'")
    elif step == "forget":
        table.create_checkpoint()
        for commit in (out / "lake" / TABLE / "_delta_log").glob("*.json"):
            if commit.stem.isdigit() and int(commit.stem) < table.version():
                commit.unlink()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
