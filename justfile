# The README's commands, and the longer runs that are not for every test.

# The main job: a demo lake, scanned
demo:
    cargo run --release --bin hindcast -- demo target/demo-lake
    cargo run --release --bin hindcast -- scan --lake target/demo-lake --out target/demo-out

# All tests
test:
    tests/run

# What CI runs
ci:
    .ci/run

# Side by side with DuckDB and with only reading the columns: 3 million firewall and 2 million endpoint rows
bench:
    cargo build --release
    python3 benches/peer.py target/release/hindcast

# The notebook preset against frames the notebooks made in Spark of the same lake
parity lake frames:
    HINDCAST_PARITY_LAKE={{lake}} HINDCAST_PARITY_FRAMES={{frames}} cargo test --test hindcast notebook_parity -- --nocapture
