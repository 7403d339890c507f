#!/usr/bin/env python3
"""The pages in a real browser: submit, watch, find, filter, entity, compare, and a finished scan by `hindcast view`.

usage: pages.py HINDCAST [--screenshots DIR]

Fails if a page sends a request to another host, if the browser reports an error or a violation of the policy, or if
markup in a log runs. --screenshots saves each page at two widths, light and dark. Needs playwright and a Chromium
(CHROMIUM, one of the usual names on the path, or playwright's own); tests/browser/run installs both.
"""
import argparse
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

TOKEN = "browser-test-token"
DEMO = "--days 2 --rows-per-day 8000 --seed 4".split()
SCREENS = [(width, scheme) for width in (1280, 600) for scheme in ("light", "dark")]
# A browser sends requests to its maker's hosts when it starts: turn them off.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


class Processes:
    """Processes that end with the test."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, *command):
        log = open(self.folder / f"{len(self.running)}.log", "w+")
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT)
        self.running.append((process, log))
        return process, log

    def until(self, what, is_so, limit_s=60):
        end = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > end:
                for _, log in self.running:
                    log.seek(0)
                    print(log.read()[-2000:], file=sys.stderr)
                raise SystemExit(f"not so after {limit_s} s: {what}")
            time.sleep(0.1)

    def stop(self):
        for process, log in self.running:
            process.kill()
            process.wait()
            log.close()


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


def start_cluster(hindcast, folder, processes):
    """Starts a coordinator with pages and a worker; returns the URL of the pages and the worker."""
    port, http, web = free_port(), free_port(), free_port()
    config = folder / "coordinator.toml"
    config.write_text(
        f'lakes = ["{folder}/lake"]\nstate = "{folder}/state"\n'
        f'[[tokens]]\nname = "analyst"\nrole = "submit"\nsha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"\n')
    processes.start(hindcast, "coordinator", "--config", config, "--listen", f"127.0.0.1:{port}",
                    "--http", f"127.0.0.1:{http}", "--web", f"127.0.0.1:{web}", "--threads", 2)
    token = folder / "token"
    token.write_text(TOKEN)
    worker, _ = processes.start(hindcast, "worker", "--coordinator", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0",
                                "--http", "127.0.0.1:0", "--threads", 1, "--work-dir", folder)
    processes.until("a worker is there", lambda: answers(f"http://127.0.0.1:{http}/readyz"))
    return f"http://127.0.0.1:{web}", worker


def start_view(hindcast, processes, *arguments):
    _, log = processes.start(hindcast, "view", *arguments, "--no-open")
    found = []

    def is_printed():
        log.seek(0)
        found[:] = re.findall(r"http://127\.0\.0\.1:\d+", log.read())
        return bool(found)
    processes.until("view prints its address", is_printed)
    return found[0]


class Watched:
    """A page that records every request, error and dialogue."""

    def __init__(self, browser, screenshots):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.hosts, self.wrong, self.screenshots, self.shot = set(), [], screenshots, 0
        self.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        self.page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"a dialogue: {dialog.message}"), dialog.dismiss()))

    def shoot(self, name):
        if not self.screenshots:
            return
        self.shot += 1
        for width, scheme in SCREENS:
            self.page.set_viewport_size({"width": width, "height": 900})
            self.page.emulate_media(color_scheme=scheme)
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                self.wrong.append(f"{name} is {wide} wide at {width}")
            path = self.screenshots / f"{self.shot:02}-{name}-{width}-{scheme}.png"
            self.page.screenshot(path=path, full_page=True)
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")

    def check(self):
        assert self.hosts <= {"127.0.0.1"}, f"requests left this host: {self.hosts}"
        assert not self.wrong, "\n".join(self.wrong)


def submit(page, url, suites):
    page.goto(f"{url}/submit")
    for suite in ("exfiltration", "firewall", "office365"):
        page.get_by_label(suite).set_checked(suite in suites)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile("/jobs/[0-9a-f-]{36}$"))
    return page.url.rsplit("/", 1)[1]


def the_cluster(watched, url, worker):
    page = watched.page
    page.goto(url)
    watched.shoot("login")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_label("Token").press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert page.evaluate("document.cookie") == "", "a script can read the token"

    page.goto(f"{url}/submit")
    watched.shoot("submit")
    first = submit(page, url, ["firewall"])
    # Without any input, the page of the job becomes the page of its results when the job ends.
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=60_000)
    second = submit(page, url, ["exfiltration", "firewall", "office365"])
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=60_000)
    watched.shoot("overview")

    page.get_by_role("link", name="Findings", exact=True).click()
    total = page.get_by_role("status").inner_text()
    page.keyboard.press("/")
    page.keyboard.type("suite:exfiltration severity:>=medium")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).not_to_have_text(total)
    page.get_by_role("list", name="Narrow").get_by_role("link").first.click()
    expect(page.get_by_label("Search", exact=True)).to_have_value(re.compile("^suite:exfiltration severity:>=medium "))
    watched.shoot("findings")
    page.get_by_role("link", name="Risk", exact=True).click()
    expect(page.get_by_role("columnheader", name="Risk")).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    focused = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(focused)
    watched.shoot("finding")

    page.locator(".who .entity").first.click()
    expect(page.get_by_role("heading", name="Contributions to the risk")).to_be_visible()
    watched.shoot("entity")
    page.get_by_role("link", name="Incidents", exact=True).click()
    watched.shoot("incidents")
    page.locator("a.open").first.click()
    expect(page.get_by_role("heading", name="Along the kill chain")).to_be_visible()
    watched.shoot("incident")
    for href in page.locator("main a").evaluate_all("links => links.map(link => link.href)"):
        assert page.request.get(href).status == 200, href
    page.get_by_role("link", name="Entities", exact=True).click()
    watched.shoot("entities")
    page.get_by_role("link", name="Coverage", exact=True).click()
    watched.shoot("coverage")

    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_label("Earlier run").select_option(first)
    page.get_by_label("Later run").select_option(second)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="added")).to_be_visible()
    expect(page.get_by_text("it was not requested").first).to_be_visible()
    watched.shoot("compare")

    worker.kill()
    submit(page, url, ["office365"])
    watched.shoot("job")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled")).to_be_visible()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(4)
    watched.shoot("jobs")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()


def a_finished_scan(watched, url):
    page = watched.page
    page.goto(f"{url}/findings?q=" + "nonsense%3Afield")
    expect(page.get_by_role("alert")).to_contain_text("there is no field")
    watched.shoot("wrong-query")
    page.goto(url)
    for name in ("Findings", "Incidents", "Entities", "Coverage", "Compare", "Overview"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)


def chromium():
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, (shutil.which(name) for name in names if name)), None)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("hindcast", type=Path)
    arguments.add_argument("--screenshots", type=Path)
    arguments = arguments.parse_args()
    hindcast = arguments.hindcast.resolve()
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run(hindcast, "demo", folder / "lake", *DEMO)
        scan = [hindcast, "scan", "--lake", folder / "lake", "--state", folder / "own-state"]
        run(*scan, "--out", folder / "one", "--suite", "firewall")
        run(*scan, "--out", folder / "two")
        processes = Processes(folder)
        try:
            url, worker = start_cluster(hindcast, folder, processes)
            view = start_view(hindcast, processes, folder / "two", "--against", folder / "one")
            with sync_playwright() as playwright:
                root = ["--no-sandbox"] if os.geteuid() == 0 else []
                browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS + root)
                watched = Watched(browser, arguments.screenshots)
                the_cluster(watched, url, worker)
                a_finished_scan(watched, view)
                watched.check()
                browser.close()
        finally:
            processes.stop()
    print(f"pages in a browser: good, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
