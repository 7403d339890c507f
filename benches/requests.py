#!/usr/bin/env python3
"""Requests and bytes that a scan causes at an object store: by method, for lake and state, without state and with all state.

    benches/requests.py BINARY LAKE [--threads 2] [--latency-ms 0] [further arguments of scan]

The store is a stand-in for S3 in this process, on loopback, with the requests that Hindcast uses: GET with ranges, HEAD, PUT, conditional PUT,
DELETE and LIST. It serves the files of LAKE, stores the state in a temporary folder, and begins each answer after the latency.
"""

import argparse
import collections
import hashlib
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

LISTED_AT_ONCE = 1000


class Store(http.server.BaseHTTPRequestHandler):
    """One request; buckets are folders, counts are the server's."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def parse_request(self):
        is_whole = super().parse_request()
        time.sleep(self.server.latency)
        return is_whole

    def place(self):
        bucket, _, key = urllib.parse.unquote(self.path.split("?")[0]).lstrip("/").partition("/")
        return bucket, key, os.path.join(self.server.buckets[bucket], key)

    def count(self, method, sent=0):
        bucket = self.place()[0]
        with self.server.lock:
            self.server.counts[bucket, method] += 1
            self.server.bytes[bucket, method] += sent

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def tags(self, path):
        status = os.stat(path)
        tag = hashlib.md5(f"{path} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
        return [("ETag", f'"{tag}"'), ("Last-Modified", self.date_time_string(int(status.st_mtime)))]

    def do_HEAD(self):
        self.count("HEAD")
        path = self.place()[2]
        if not os.path.isfile(path):
            return self.answer(404)
        self.answer(200, headers=self.tags(path) + [("Content-Length", str(os.path.getsize(path)))])

    def do_GET(self):
        query = urllib.parse.parse_qs(self.path.partition("?")[2])
        if "list-type" in query:
            return self.list(query)
        path = self.place()[2]
        if not os.path.isfile(path):
            self.count("GET, none there")
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        size = os.path.getsize(path)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        first, last = 0, size - 1
        if wanted and wanted[1]:
            first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        elif wanted:
            first = max(0, size - int(wanted[2]))
        with open(path, "rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        self.count("GET", len(body))
        ranged = [("Content-Range", f"bytes {first}-{last}/{size}")] if wanted else []
        self.answer(206 if wanted else 200, body, self.tags(path) + ranged)

    def list(self, query):
        self.count("LIST")
        root = self.place()[2]
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys = sorted(os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(os.path.join(root, prefix)) for name in names)
        entries = {}
        for key in keys:
            if key.startswith(prefix):
                rest = key[len(prefix):]
                group = prefix + rest.split(delimiter)[0] + delimiter if delimiter and delimiter in rest else None
                entries[group or key] = group is not None
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        names = [name for name in sorted(entries) if name > after]
        text = "".join(self.entry(root, name, entries[name]) for name in names[:LISTED_AT_ONCE])
        more = len(names) > LISTED_AT_ONCE
        token = f"<NextContinuationToken>{escape(names[LISTED_AT_ONCE - 1])}</NextContinuationToken>" if more else ""
        body = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{text}</ListBucketResult>"
        self.answer(200, body.encode(), [("Content-Type", "application/xml")])

    def entry(self, root, name, is_folder):
        if is_folder:
            return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
        path = os.path.join(root, name)
        tag = escape(dict(self.tags(path))["ETag"])
        return (f"<Contents><Key>{escape(name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{tag}</ETag>"
                f"<Size>{os.path.getsize(path)}</Size></Contents>")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.place()[2]
        self.count("PUT", len(body))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with self.server.lock:
            if self.headers.get("If-None-Match") == "*" and os.path.exists(path):
                return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            with open(path, "wb") as file:
                file.write(body)
        self.answer(200, headers=self.tags(path))

    def do_DELETE(self):
        self.count("DELETE")
        path = self.place()[2]
        if os.path.exists(path):
            os.remove(path)
        self.answer(204)


def serve(buckets, latency_ms):
    """Starts a store on loopback; `buckets` are folders by name."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.daemon_threads, server.latency = True, latency_ms / 1000
    server.lock, server.counts, server.bytes = threading.RLock(), collections.Counter(), collections.Counter()
    server.buckets = buckets
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def recount(server):
    """Counts from zero; returns the environment in which a command uses the store."""
    server.counts.clear()
    server.bytes.clear()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    return dict(os.environ, AWS_ENDPOINT=endpoint, AWS_ALLOW_HTTP="true", **keys)


def scan(arguments, server, out):
    """Runs a scan; returns its seconds and requests."""
    environment = recount(server)
    line = [arguments.binary, "scan", "--lake", "s3://lake", "--state", "s3://state", "--threads", str(arguments.threads), "--out", out, "--quiet"]
    started = time.monotonic()
    done = subprocess.run(line + arguments.extra, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.monotonic() - started, dict(server.counts), dict(server.bytes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("lake")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--latency-ms", type=float, default=0)
    arguments, arguments.extra = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="hindcast-requests-") as work:
        os.makedirs(f"{work}/state")
        server = serve({"lake": arguments.lake, "state": f"{work}/state"}, arguments.latency_ms)
        for name in ("first", "again"):
            seconds, counts, sent = scan(arguments, server, f"{work}/out")
            print(f"{name}  {seconds:.1f} s")
            for (bucket, method), count in sorted(counts.items()):
                print(f"{name}  {bucket:<5} {method:<16} {count:>8}  {sent[bucket, method] / 2**20:>9.1f} MiB")
        files = [os.path.join(folder, name) for folder, _, names in os.walk(f"{work}/state") for name in names]
        print(f"state: {len(files)} objects, {sum(map(os.path.getsize, files)) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
