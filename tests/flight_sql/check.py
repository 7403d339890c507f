"""Reads a coordinator's results with third-party readers: ADBC's Flight SQL driver, pyarrow and pandas.

Starts a coordinator and a worker with certificates and tokens, on a demo lake, and scans it. Each answer is compared
with the files that `hindcast scan` writes for the same lake. --notebook runs the notebook against it, in place.
"""

import argparse
import hashlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import adbc_driver_flightsql.dbapi as flight_sql
import pandas
import pyarrow.flight
import pyarrow.parquet
from adbc_driver_flightsql import DatabaseOptions

TOKENS = {"read": "reader-of-the-check", "submit": "submitter-of-the-check"}
START_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A coordinator and a worker below a folder; they end with the block."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.port, self.http = free_port(), free_port()
        self.processes = []

    def run(self, *arguments, token=""):
        done = subprocess.run(
            [self.binary, *map(str, arguments)],
            capture_output=True, text=True, env={**os.environ, "HINDCAST_TOKEN": token},
        )
        if done.returncode:
            sys.exit(f"{arguments[0]} failed: {done.stderr}")
        return done.stdout

    def start(self, *arguments):
        log = open(self.folder / f"{arguments[0]}.log", "wb")
        command = [self.binary, *map(str, arguments)]
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def __enter__(self):
        self.run("demo", self.folder / "lake", "--days", 3, "--rows-per-day", 20000)
        self.run("certificates", self.folder / "certificates")
        tokens = "".join(
            f'[[tokens]]\nname = "{role}"\nrole = "{role}"\n'
            f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
            for role, token in TOKENS.items()
        )
        config = self.folder / "coordinator.toml"
        config.write_text(f'lakes = ["{self.folder}/lake"]\nstate = "{self.folder}/state"\n{tokens}')
        address = f"127.0.0.1:{self.port}"
        certificates = self.folder / "certificates"
        self.start("coordinator", "--config", config, "--listen", address, "--http", f"127.0.0.1:{self.http}",
                   "--geoip", self.folder / "lake/geoip.mmdb", "--tls", certificates / "coordinator")
        self.start("worker", "--coordinator", address, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                   "--work-dir", self.folder, "--tls", certificates / "worker")
        begun = time.monotonic()
        while not self.is_ready():
            if time.monotonic() - begun > START_SECONDS:
                sys.exit("the cluster did not come up: " + (self.folder / "coordinator.log").read_text())
            time.sleep(0.1)
        return self

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=30)

    def scan(self):
        """Scans on the cluster; returns the folder of the results."""
        self.run("scan", "--lake", self.folder / "lake", "--out", self.folder / "out", "--coordinator",
                 f"127.0.0.1:{self.port}", "--tls", self.folder / "certificates/client", token=TOKENS["submit"])
        return self.folder / "out"

    def connect(self, token):
        client = self.folder / "certificates/client"
        options = {
            DatabaseOptions.TLS_ROOT_CERTS.value: (client / "ca.crt").read_text(),
            DatabaseOptions.MTLS_CERT_CHAIN.value: (client / "tls.crt").read_text(),
            DatabaseOptions.MTLS_PRIVATE_KEY.value: (client / "tls.key").read_text(),
        }
        if token:
            options[DatabaseOptions.AUTHORIZATION_HEADER.value] = f"Bearer {token}"
        return flight_sql.connect(f"grpc+tls://127.0.0.1:{self.port}", db_kwargs=options, autocommit=True)


def refused(connection, sql):
    """The error of a query that must be refused."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            cursor.fetch_arrow_table()
    except flight_sql.Error as error:
        return str(error)
    sys.exit(f"answered: {sql}")


def check_results(connection, out):
    """Every result table and the findings equal the files."""
    files = sorted((out / "tables").glob("*.parquet")) + [out / "findings.parquet"]
    rows = 0
    with connection.cursor() as cursor:
        for file in files:
            cursor.execute(f"SELECT * FROM latest.{file.stem}")
            fetched, written = cursor.fetch_arrow_table(), pyarrow.parquet.read_table(file)
            assert fetched.equals(written.cast(fetched.schema)), f"{file.stem} differs"
            assert [str(field.type) for field in fetched.schema] == [str(field.type) for field in written.schema]
            rows += fetched.num_rows
    print(f"{len(files)} tables, {rows} rows: the same by ADBC as in the Parquet files")


def check_rollups(connection, out):
    """Compares top talkers with the rollups they come from, and sums by SQL with sums by pandas."""
    with connection.cursor() as cursor:
        both = "SELECT source_ip, destination_ip, sessions FROM rollup_{}_pairs"
        cursor.execute(f"{both.format('external')} UNION ALL {both.format('internal')}")
        pairs = cursor.fetch_df()
        cursor.execute("SELECT sum(sessions) AS sessions FROM rollup_internal_pairs")
        internal = cursor.fetch_df().iloc[0]["sessions"]
        cursor.execute("SELECT sum(sessions) AS sessions FROM rollup_external_pairs")
        external = cursor.fetch_df().iloc[0]["sessions"]
    assert internal + external == pairs["sessions"].sum()
    by_pair = pairs.set_index(["source_ip", "destination_ip"])["sessions"]
    talkers = pandas.read_parquet(out / "tables/top_talkers.parquet")
    for talker in talkers.itertuples():
        assert by_pair[talker.source_ip, talker.destination_ip] == talker.sessions
    print(f"rollups of pairs: {len(pairs)} rows; all {len(talkers)} top talkers' sessions are theirs")


def check_metadata(connection):
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "Hindcast", info
    objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
    schemas = {
        schema["db_schema_name"]: sorted(table["table_name"] for table in schema["db_schema_tables"])
        for catalog in objects for schema in catalog["catalog_db_schemas"]
    }
    assert {"findings", "incidents", "rollup_external_pairs"} <= set(schemas["latest"]), schemas
    columns = connection.adbc_get_table_schema("findings", db_schema_filter="latest")
    assert "severity" in columns.names, columns
    assert connection.adbc_get_table_types() == ["TABLE"]
    print(f"catalog {objects[0]['catalog_name']}: {len(schemas)} schemas, {len(schemas['latest'])} tables in latest")


def check_parameters(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT severity, count(*) AS n FROM findings GROUP BY severity")
        counts = dict(cursor.fetchall())
        for severity, count in counts.items():
            cursor.execute("SELECT id FROM findings WHERE severity = $1", [severity])
            assert len(cursor.fetchall()) == count
        cursor.execute("SELECT id FROM findings WHERE severity = $1", ["' OR 1=1 --"])
        assert cursor.fetchall() == []
    print(f"parameters: findings by severity {counts}")


def check_refusals(cluster, connection):
    for sql in ["CREATE TABLE t AS SELECT 1", "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
                "COPY findings TO '/tmp/findings.csv'", "SELECT * FROM '/etc/passwd'", "DELETE FROM findings"]:
        print(f"refused: {sql}: {refused(connection, sql).splitlines()[0][:100]}")
    for token in ["", "guess"]:
        with cluster.connect(token) as stranger:
            error = refused(stranger, "SELECT * FROM findings")
        assert "token" in error, error
        print(f"refused: the token {token!r}: {error.splitlines()[0][:100]}")


def check_flight(cluster, connection, out):
    """Plain Arrow Flight, by job and table, on the same port as Flight SQL."""
    objects = connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
    names = [schema["db_schema_name"] for schema in objects[0]["catalog_db_schemas"]]
    job = next(name for name in names if name != "latest")
    client_folder = cluster.folder / "certificates/client"
    client = pyarrow.flight.connect(
        f"grpc+tls://127.0.0.1:{cluster.port}",
        tls_root_certs=(client_folder / "ca.crt").read_bytes(),
        cert_chain=(client_folder / "tls.crt").read_bytes(),
        private_key=(client_folder / "tls.key").read_bytes(),
    )
    options = pyarrow.flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {TOKENS['read']}".encode())])
    table = client.do_get(pyarrow.flight.Ticket(f"{job}/findings"), options).read_all()
    assert table.num_rows == pyarrow.parquet.read_metadata(out / "findings.parquet").num_rows
    print(f"pyarrow.flight: {table.num_rows} findings by the ticket JOB/findings")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--notebook", type=pathlib.Path, help="run this notebook against the cluster, in place")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Cluster(arguments.binary.absolute(), pathlib.Path(folder)) as cluster:
        out = cluster.scan()
        with cluster.connect(TOKENS["read"]) as connection:
            check_metadata(connection)
            check_results(connection, out)
            check_rollups(connection, out)
            check_parameters(connection)
            check_refusals(cluster, connection)
            check_flight(cluster, connection, out)
        if arguments.notebook:
            environment = {
                **os.environ,
                "HINDCAST_URI": f"grpc+tls://127.0.0.1:{cluster.port}",
                "HINDCAST_TLS": str(cluster.folder / "certificates/client"),
                "HINDCAST_TOKEN": TOKENS["read"],
            }
            subprocess.run(
                [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace",
                 "--ExecutePreprocessor.record_timing=False", arguments.notebook],
                check=True, env=environment,
            )
            print(f"{arguments.notebook} was run")


if __name__ == "__main__":
    main()
