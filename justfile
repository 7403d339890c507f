# The README's commands, and the longer runs that are not for every test.

# The main job: a demo lake, scanned
demo:
    cargo run --release --bin hindcast -- demo target/demo-lake
    cargo run --release --bin hindcast -- scan --lake target/demo-lake --geoip target/demo-lake/geoip.mmdb --out target/demo-out

# All tests
test:
    tests/run

# The pages of docs/detections, from the metadata of the detections
detections-docs:
    cargo run --bin hindcast -- detections docs docs/detections

# What CI runs
ci:
    .ci/run

# Side by side with DuckDB and with only reading the columns: 3 million firewall and 2 million endpoint rows
bench:
    cargo build --release
    python3 benches/peer.py target/release/hindcast

# How long pages take over 100,000 findings (needs pyarrow)
bench-pages *arguments:
    cargo build --release
    python3 benches/pages.py target/release/hindcast {{arguments}}

# The pages in a real browser; with "--screenshots DIR" each is kept at two widths, light and dark
browser *arguments:
    cargo build --bin hindcast
    tests/browser/run target/debug/hindcast {{arguments}}

# The notebook preset against frames the notebooks made in Spark of the same lake
parity lake frames:
    HINDCAST_PARITY_LAKE={{lake}} HINDCAST_PARITY_FRAMES={{frames}} cargo test --test hindcast notebook_parity -- --nocapture

# The Office 365 suite against the same tables in pandas: pip install pandas pyarrow maxminddb mmdb-writer
office-parity *arguments:
    cargo build --release
    python3 tests/office_parity/compare.py target/release/hindcast {{arguments}}

# The cluster beside the embedded scan, on one and two workers, with a hot key (needs pyarrow), and what its cache saves
bench-cluster *arguments:
    cargo build --release
    python3 benches/cluster.py target/release/hindcast {{arguments}}

# A month beside DuckDB, Spark and the floor; costs by days and rows, rollups' bytes, memory (needs duckdb and pyarrow; takes an hour)
bench-months *arguments:
    cargo build --release
    python3 benches/months.py target/release/hindcast {{arguments}}

# What a coordinator bears: the real one, with up to 500 workers whose tasks are empty and 10,000 units
bench-capacity *arguments:
    cargo build --release --workspace --bin hindcast --example empty_workers
    python3 benches/capacity.py target/release/hindcast target/release/examples/empty_workers {{arguments}}

# What a scan of a lake asks of an object store: requests and bytes, cold and with all state there
bench-requests lake *arguments:
    cargo build --release
    python3 benches/requests.py target/release/hindcast {{lake}} {{arguments}}

# The tables of docs/capacity.md, from its constants
capacity-model *arguments:
    python3 benches/capacity_model.py {{arguments}}

# Importing 5 GB of NDJSON beside DuckDB's COPY: rate and memory (needs duckdb)
bench-import *arguments:
    cargo build --release
    python3 benches/import.py target/release/hindcast {{arguments}}

# Inputs, lake files and state broken at random, so many of each kind: no panic, no lost record, no other result
mutations runs="2000":
    HINDCAST_MUTATIONS={{runs}} cargo test -p hindcast-common -p hindcast-coordinator --lib --bins --test undecodable_files mutations
    HINDCAST_MUTATIONS={{runs}} cargo test -p hindcast-coordinator --test hindcast -- broken_requests broken_statements altered_

# So many seeded fault runs, from a seed on
chaos runs="200" seed="1":
    HINDCAST_CHAOS_RUNS={{runs}} HINDCAST_CHAOS_SEED={{seed}} tests/run --test hindcast chaos -- --nocapture

# The deployment files: schemas, references, flows, metrics, alerts; with "--planted" that it sees errors
deploy-check *arguments:
    deploy/validate {{arguments}}

# Beacon scores on generated truth: recall by jitter, interval and loss, precision, ranks of benign services (docs/beacons.md)
beacon-quality *arguments:
    cargo build --bin hindcast
    test -x target/beacon-venv/bin/python || (python3 -m venv target/beacon-venv && target/beacon-venv/bin/pip -q install numpy pyarrow)
    target/beacon-venv/bin/python benches/beacon_quality.py target/debug/hindcast {{arguments}}

# Every export of a demo lake's scan opened by somebody else's reader
exports-check *arguments:
    cargo build --bin hindcast
    test -x target/exports-venv/bin/python || (python3 -m venv target/exports-venv && target/exports-venv/bin/pip -q install -r tests/exports/requirements.txt)
    target/exports-venv/bin/python tests/exports/check.py target/debug/hindcast {{arguments}}

# Results and rollups by other readers: ADBC's Flight SQL driver, pyarrow, pandas; with "--notebook docs/notebook.ipynb" it runs the notebook
flight-sql *arguments:
    cargo build --bin hindcast
    test -x target/python-venv/bin/python || (python3 -m venv target/python-venv && target/python-venv/bin/pip -q install -r tests/flight_sql/requirements.txt)
    target/python-venv/bin/python tests/flight_sql/check.py target/debug/hindcast {{arguments}}
