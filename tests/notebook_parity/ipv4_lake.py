#!/usr/bin/env python3
"""Copies a lake without the firewall rows on which the notebooks and Hindcast differ on purpose.

usage: ipv4_lake.py LAKE OUT

It leaves out rows of CommonSecurityLog whose destination is null or not IPv4: the notebook counts those as external.
"""
import shutil
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

lake, out = Path(sys.argv[1]), Path(sys.argv[2])
shutil.copytree(lake, out, ignore=shutil.ignore_patterns("CommonSecurityLog", "truth.json"))
rows = 0
for source in sorted((lake / "CommonSecurityLog").rglob("*.parquet")):
    table = pq.ParquetFile(source).read()
    is_ipv4 = pc.match_substring_regex(table["DestinationIP"], r"^\d+\.\d+\.\d+\.\d+$")
    table = table.filter(pc.fill_null(is_ipv4, False))
    target = out / source.relative_to(lake)
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target)
    rows += table.num_rows
print(f"{rows} firewall rows")
