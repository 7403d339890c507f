"""Rewrites a demo lake as others store theirs, and prints as JSON how many rows another reader finds in each table.

    rewrite.py LAKE OUT FORM..      writes OUT/FORM for each form: delta, ocsf, azure, lower
    rewrite.py --count FORM URL     counts the rows of a lake in an object store
    rewrite.py --container NAME     creates a container of the Azure emulator

Each rewritten lake has a hindcast.toml if its columns are not where Hindcast expects them.
"""

import base64
import email.utils
import hmac
import json
import os
import pathlib
import sys
import urllib.request

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

# The text column in which the extra rows of Delta tables are marked, by table.
MARKED = {
    "AuditLogs": "ResultDescription",
    "AzureNetworkAnalytics_CL": "FlowType",
    "CommonSecurityLog": "Message",
    "DeviceFileEvents": "FolderPath",
    "DeviceNetworkEvents": "RemoteUrl",
    "DeviceProcessEvents": "ProcessCommandLine",
    "OfficeActivity": "UserAgent",
    "StorageBlobLogs": "Uri",
}
EXTRA_ROWS = 7
# The account of the Azure emulator.
ACCOUNT = "devstoreaccount1"

# Where columns are in OCSF events. All others are in `unmapped`.
OCSF = {
    "CommonSecurityLog": {
        "DeviceVendor": "metadata.product.vendor_name",
        "DeviceProduct": "metadata.product.name",
        "DeviceEventClassID": "metadata.event_code",
        "Activity": "activity_name",
        "LogSeverity": "severity",
        "ApplicationProtocol": "app_name",
        "Protocol": "connection_info.protocol_name",
        "CommunicationDirection": "connection_info.direction",
        "SourceIP": "src_endpoint.ip",
        "SourcePort": "src_endpoint.port",
        "SourceHostName": "src_endpoint.hostname",
        "SourceUserName": "actor.user.name",
        "DestinationIP": "dst_endpoint.ip",
        "DestinationPort": "dst_endpoint.port",
        "DestinationHostName": "dst_endpoint.hostname",
        "SentBytes": "traffic.bytes_out",
        "ReceivedBytes": "traffic.bytes_in",
        "RequestURL": "url.url_string",
        "Message": "message",
    },
    "DeviceNetworkEvents": {
        "DeviceName": "device.hostname",
        "InitiatingProcessAccountName": "actor.user.name",
        "InitiatingProcessId": "actor.process.pid",
        "RemoteUrl": "url.url_string",
        "RemoteIP": "dst_endpoint.ip",
        "RemotePort": "dst_endpoint.port",
        "LocalIP": "src_endpoint.ip",
        "BytesSent": "traffic.bytes_out",
    },
    "DeviceProcessEvents": {
        "DeviceName": "device.hostname",
        "InitiatingProcessAccountName": "actor.user.name",
        "InitiatingProcessId": "actor.process.pid",
        "InitiatingProcessParentFileName": "actor.process.parent_process.name",
        "ProcessCommandLine": "process.cmd_line",
        "FileName": "process.name",
    },
}
# Columns whose values are numbers in OCSF, which the configuration maps to text again.
OCSF_IDS = {"CommonSecurityLog": {"SimplifiedDeviceAction": "disposition_id"}}
# Columns whose values are elements of lists, with their index.
OCSF_ELEMENTS = {"CommonSecurityLog": {"DeviceName": 0, "DeviceAction": 1}}


def tables_of(lake):
    return sorted(folder.name for folder in lake.iterdir() if folder.is_dir())


def files_of(lake, table):
    return sorted((lake / table).rglob("*.parquet"))


def read(file):
    # Not a dataset: the folder's date is no column.
    return pq.ParquetFile(file).read()


def time_column(rows):
    return rows.column_names[0]


def write(rows, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / name)


def split(rows, by):
    """The rows by the text of their times in the format `by`, in their order."""
    keys = pc.strftime(rows[time_column(rows)], format=by)
    for key in sorted(set(keys.to_pylist())):
        yield key, rows.filter(pc.equal(keys, key))


def as_delta(lake, table, out):
    """Several commits, a checkpoint, an OPTIMIZE, and a delete of extra rows."""
    files, url = [read(file) for file in files_of(lake, table)], str(out / table)
    partitions = ["day"] if table == "CommonSecurityLog" else None

    def append(rows):
        if partitions:
            day = pc.strftime(rows[time_column(rows)], format="%Y-%m-%d")
            rows = rows.append_column("day", pc.cast(day, pa.string()))
        write_deltalake(url, rows, mode="append", partition_by=partitions)

    for rows in files[:-1]:
        append(rows)
    extra, marked = files[0].slice(0, EXTRA_ROWS), MARKED[table]
    place = extra.column_names.index(marked)
    append(extra.set_column(place, extra.schema.field(place), pa.array(["extra"] * extra.num_rows)))
    DeltaTable(url).create_checkpoint()
    DeltaTable(url).optimize.compact()
    append(files[-1])
    assert DeltaTable(url).delete(f"\"{marked}\" = 'extra'")["num_deleted_rows"] == extra.num_rows


def nested(leaves):
    """A table with structs, from columns by their paths."""
    children = {}
    for path, column in leaves.items():
        name, _, rest = path.partition(".")
        children.setdefault(name, {})[rest] = column
    columns = {}
    for name, inner in children.items():
        if list(inner) == [""]:
            columns[name] = inner[""]
            continue
        below = nested(inner)
        arrays = [column.combine_chunks() for column in below.columns]
        columns[name] = pa.StructArray.from_arrays(arrays, names=below.column_names)
    return pa.table(columns)


def as_ocsf(lake, table, out):
    """Nested events below region=/accountId=/eventDay=, as Security Lake writes them. Returns the lines of the configuration."""
    paths, lines = dict(OCSF.get(table, {})), [f"[tables.{table}.columns]"]
    ids, elements = OCSF_IDS.get(table, {}), OCSF_ELEMENTS.get(table, {})
    number_of = {}
    for file in files_of(lake, table):
        rows = read(file)
        time = time_column(rows)
        leaves = {
            "time_dt": rows[time],
            "time": pc.cast(pc.cast(rows[time], pa.timestamp("ms", "UTC"), safe=False), pa.int64()),
            "class_uid": pa.chunked_array([pa.array([4001] * rows.num_rows, pa.int32())]),
        }
        for name in rows.column_names[1:]:
            if name in ids:
                known = number_of.setdefault(name, {})
                texts = rows[name].to_pylist()
                numbers = [text and known.setdefault(text, len(known) + 1) for text in texts]
                leaves[ids[name]] = pa.chunked_array([pa.array(numbers, pa.int32())])
            elif name not in elements:
                leaves[paths.setdefault(name, f"unmapped.{name}")] = rows[name]
        if elements:
            values = zip(*(rows[name].to_pylist() for name in elements))
            named = [[{"name": name, "value": value} for name, value in zip(elements, row)] for row in values]
            leaves["observables"] = pa.chunked_array([pa.array(named)])
        for day, events in split(nested(leaves), "%Y%m%d"):
            write(events, out / table / f"region=eu-west-1/accountId=123456789012/eventDay={day}", file.name)
    lines.append(f'{time} = "time_dt"')
    lines += [f'{name} = "{path}"' for name, path in paths.items()]
    lines += [f'{name} = "observables[{index}].value"' for name, index in elements.items()]
    for name, column in ids.items():
        values = ", ".join(f'{number} = "{text}"' for text, number in number_of[name].items())
        lines.append(f'{name} = {{ column = "{column}", values = {{ {values} }} }}')
    return lines


def as_azure(lake, table, out):
    """A folder per hour below those of a resource, as export jobs write them."""
    rows = pa.concat_tables(read(file) for file in files_of(lake, table))
    for hour, of_hour in split(rows, "y=%Y/m=%m/d=%d/h=%H/m=00"):
        write(of_hour, out / table / "resourceId=/SUBSCRIPTIONS/0C5B" / hour, "PT1H.parquet")


def as_lower(lake, table, out):
    """Names in lower case below dt=, as a catalog such as Glue writes them."""
    for file in files_of(lake, table):
        rows = read(file)
        for day, of_day in split(rows, "%Y-%m-%d"):
            of_day = of_day.rename_columns([name.lower() for name in rows.column_names])
            write(of_day, out / table / f"dt={day}", file.name)


FORMS = {"delta": as_delta, "ocsf": as_ocsf, "azure": as_azure, "lower": as_lower}


def count(form, url, options=None):
    """The rows of a table, as another reader counts them."""
    if form == "delta":
        return DeltaTable(url, storage_options=options).to_pyarrow_dataset().count_rows()
    if form == "lower":
        return ds.dataset(url, partitioning="hive").count_rows()
    counted = duckdb.sql(f"SELECT count(*) FROM read_parquet('{url}/**/*.parquet', hive_partitioning = true)")
    return counted.fetchall()[0][0]


def rewrite(lake, out, forms):
    counts = {}
    for form in forms:
        folder, lines = out / form, []
        for table in tables_of(lake):
            lines += FORMS[form](lake, table, folder) or []
            counts.setdefault(form, {})[table] = count(form, str(folder / table))
        if lines:
            (folder / "hindcast.toml").write_text("\n".join(lines) + "\n")
    return counts


def azure_options():
    """The credentials of the emulator, which everybody knows."""
    return {
        "azure_storage_account_name": ACCOUNT,
        "azure_storage_account_key": os.environ["AZURE_STORAGE_ACCOUNT_KEY"],
        "azure_storage_use_emulator": "true",
        "azurite_blob_storage_url": os.environ["AZURITE_BLOB_STORAGE_URL"],
    }


def count_stored(form, url):
    options = azure_options() if url.startswith("az:") else dict(os.environ)
    return {table: count(form, f"{url}/{table}", options) for table in MARKED}


def create_container(name):
    """Creates a container by a request with a shared key. Other readers have no call for it."""
    url = f"{os.environ['AZURITE_BLOB_STORAGE_URL']}/{ACCOUNT}/{name}?restype=container"
    date, version = email.utils.formatdate(usegmt=True), "2021-12-02"
    headers = f"x-ms-date:{date}\nx-ms-version:{version}"
    # PUT, then eleven headers that are not sent.
    signed = "PUT" + "\n" * 12 + f"{headers}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    key = base64.b64decode(os.environ["AZURE_STORAGE_ACCOUNT_KEY"])
    signature = base64.b64encode(hmac.new(key, signed.encode(), "sha256").digest()).decode()
    request = urllib.request.Request(url, method="PUT")
    request.add_header("x-ms-date", date)
    request.add_header("x-ms-version", version)
    request.add_header("Authorization", f"SharedKey {ACCOUNT}:{signature}")
    urllib.request.urlopen(request).close()


def main(arguments):
    match arguments:
        case ["--count", form, url]:
            print(json.dumps(count_stored(form, url)))
        case ["--container", name]:
            create_container(name)
        case [lake, out, *forms] if forms:
            print(json.dumps(rewrite(pathlib.Path(lake), pathlib.Path(out), forms)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
