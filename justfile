# The commands of the README, and longer runs that are not part of the tests.

# The main job: a demo lake, scanned
demo:
    cargo run --release --bin hindcast -- demo target/demo-lake
    cargo run --release --bin hindcast -- scan --lake target/demo-lake --geoip target/demo-lake/geoip.mmdb --out target/demo-out

# All tests
test:
    tests/run

# Writes docs/detections from the metadata of the detections
detections-docs:
    cargo run --bin hindcast -- detections docs docs/detections

# What CI runs
ci:
    .ci/run

# Against DuckDB and against only decoding the columns: 3 million firewall and 2 million endpoint rows (needs duckdb and pyarrow)
bench:
    cargo build --release
    python3 benches/peer.py target/release/hindcast

# Response times of the pages with 100,000 findings (needs pyarrow)
bench-pages *arguments:
    cargo build --release
    python3 benches/pages.py target/release/hindcast {{arguments}}

# The pages in a real browser; "--screenshots DIR" saves each at two widths, light and dark
browser *arguments:
    cargo build --bin hindcast
    tests/browser/run target/debug/hindcast {{arguments}}

# The notebook preset against frames that the notebooks made in Spark from the same lake
parity lake frames:
    HINDCAST_PARITY_LAKE={{lake}} HINDCAST_PARITY_FRAMES={{frames}} cargo test --test hindcast notebook_parity -- --nocapture

# The Office 365 suite against the same tables in pandas: pip install pandas pyarrow maxminddb mmdb-writer
office-parity *arguments:
    cargo build --release
    python3 tests/office_parity/compare.py target/release/hindcast {{arguments}}

# The cluster against the embedded scan: one and two workers, a hot key, and the effect of the cache (needs pyarrow)
bench-cluster *arguments:
    cargo build --release
    python3 benches/cluster.py target/release/hindcast {{arguments}}

# A month against DuckDB, Spark and the floor; cost by days and rows, size of rollups, memory (needs duckdb and pyarrow; takes an hour)
bench-months *arguments:
    cargo build --release
    python3 benches/months.py target/release/hindcast {{arguments}}

# The load that a coordinator can take: a real one, with up to 500 workers that run empty tasks, and 10,000 units
bench-capacity *arguments:
    cargo build --release --workspace --bin hindcast --example empty_workers
    python3 benches/capacity.py target/release/hindcast target/release/examples/empty_workers {{arguments}}

# Requests and bytes that a scan of a lake causes at an object store, without state and with all state
bench-requests lake *arguments:
    cargo build --release
    python3 benches/requests.py target/release/hindcast {{lake}} {{arguments}}

# Time, memory and requests of planning a Delta table of 100,000 files and 5,000 dates (needs pyarrow and deltalake)
bench-planning *arguments:
    cargo build --release
    python3 benches/planning.py target/release/hindcast {{arguments}}

# Time and requests of planning 5,000 dates in each layout of folders (needs pyarrow)
bench-layouts *arguments:
    cargo build --release
    python3 benches/layouts.py target/release/hindcast {{arguments}}

# Prints the tables of docs/capacity.md from its constants
capacity-model *arguments:
    python3 benches/capacity_model.py {{arguments}}

# An import of 5 GB of NDJSON against DuckDB's COPY: rate and memory (needs duckdb)
bench-import *arguments:
    cargo build --release
    python3 benches/import.py target/release/hindcast {{arguments}}

# The rate of an import by source on one core, against DuckDB, jq and zeek-cut; memory of a GB of PAN-OS' syslog (needs duckdb)
bench-import-sources *arguments:
    cargo build --release
    python3 benches/import_sources.py target/release/hindcast {{arguments}}

# Writes docs/import-sources.md from the files of the sources
import-sources-docs:
    cargo run --bin hindcast -- sources --docs docs/import-sources.md

# Imports and watches that are killed at this many seeded moments, from this seed on: nothing is lost or doubled
import-kills runs="20" seed="1":
    HINDCAST_KILLS={{runs}} HINDCAST_KILLS_SEED={{seed}} tests/run --test hindcast import_kills -- --nocapture

# Randomly broken inputs, lake files and state, this many of each kind: no panic, no lost record, no changed result
mutations runs="2000":
    HINDCAST_MUTATIONS={{runs}} cargo test --workspace --lib --bins --test engine --test state_mutations mutations
    HINDCAST_MUTATIONS={{runs}} cargo test --workspace --test hindcast -- mutated_requests broken_statements altered_

# This many runs with seeded faults, from this seed on
chaos runs="200" seed="1":
    HINDCAST_CHAOS_RUNS={{runs}} HINDCAST_CHAOS_SEED={{seed}} tests/run --test hindcast chaos -- --nocapture

# Checks the deployment files: schemas, references, flows, metrics, alerts; "--planted" tests the checks with planted errors
deploy-check *arguments:
    deploy/validate {{arguments}}

# Beacon scores on generated data: recall by jitter, interval and loss, precision, ranks of benign services (docs/beacons.md)
beacon-quality *arguments:
    cargo build --bin hindcast
    test -x target/beacon-venv/bin/python || (python3 -m venv target/beacon-venv && target/beacon-venv/bin/pip -q install numpy pyarrow)
    target/beacon-venv/bin/python benches/beacon_quality.py target/debug/hindcast {{arguments}}

# What is found in the recorded attacks of this folder, its rank and what stands above it; and its ranks and those of published rules (docs/attack-quality.md)
attack-quality samples *arguments:
    cargo build --bin hindcast
    test -x target/beacon-venv/bin/python || (python3 -m venv target/beacon-venv && target/beacon-venv/bin/pip -q install numpy pyarrow)
    target/beacon-venv/bin/python benches/attack_quality.py target/debug/hindcast {{samples}} {{arguments}}
    target/beacon-venv/bin/python benches/attack_precision.py target/debug/hindcast {{samples}}

# Opens every export of a demo lake's scan with a third-party reader
exports-check *arguments:
    cargo build --bin hindcast
    test -x target/exports-venv/bin/python || (python3 -m venv target/exports-venv && target/exports-venv/bin/pip -q install -r tests/exports/requirements.txt)
    target/exports-venv/bin/python tests/exports/check.py target/debug/hindcast {{arguments}}

# Reads results and rollups with ADBC's Flight SQL driver, pyarrow and pandas; "--notebook docs/notebook.ipynb" runs the notebook
flight-sql *arguments:
    cargo build --bin hindcast
    test -x target/python-venv/bin/python || (python3 -m venv target/python-venv && target/python-venv/bin/pip -q install -r tests/flight_sql/requirements.txt)
    target/python-venv/bin/python tests/flight_sql/check.py target/debug/hindcast {{arguments}}

# The unit tests of one crate, such as "just unit functions". Naming the command's package too builds dependencies with the features they have everywhere, so they are not built again.
unit crate *arguments:
    cargo test -p hindcast-{{crate}} -p hindcast-cli --lib -- {{arguments}}
