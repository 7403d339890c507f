"""Dashboard and alerts: PromQL must parse, and names and labels must be in the metrics table."""
import json
import re
import shutil
import subprocess

import promql_parser
import yaml

from . import documented

# Labels that scraping adds to every metric.
SCRAPED = {"instance", "job", "namespace", "pod", "container"}


def selectors(expression):
    found = []

    def visit(node):
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(expression, pre_visit=visit)
    return found


def wrong_expression(root, where, text):
    text = re.sub(r"\$__(rate_interval|range|interval)", "5m", text)
    try:
        expression = promql_parser.parse(text)
    except ValueError as error:
        return [f"{where}: {error}: {text}"]
    known, found = documented.metrics(root), []
    names = selectors(expression)
    if not names:
        found.append(f"{where}: no metric in {text}")
    for selector in names:
        if selector.name not in known:
            found.append(f"{where}: {documented.PAGE} knows no metric {selector.name}")
            continue
        labels = {matcher.name for matcher in selector.matchers.matchers}
        for label in labels - SCRAPED - known[selector.name]:
            found.append(f"{where}: {selector.name} has no label {label}")
    return found


def wrong_dashboard(root, where):
    dashboard, found, identifiers = json.loads(where.read_text()), [], set()
    for panel in dashboard["panels"]:
        if panel["id"] in identifiers:
            found.append(f"{where.name}: two panels have the id {panel['id']}")
        identifiers.add(panel["id"])
        for target in panel["targets"]:
            found += wrong_expression(root, f"{where.name}: {panel['title']}", target["expr"])
    for variable in dashboard["templating"]["list"]:
        query = variable["query"]["query"] if variable["type"] == "query" else ""
        for name in re.findall(r"label_values\((\w+),", query):
            found += wrong_expression(root, f"{where.name}: {variable['name']}", name)
    return found


def wrong_rules(root, where):
    found = []
    for group in yaml.safe_load(where.read_text())["groups"]:
        for rule in group["rules"]:
            found += wrong_expression(root, f"{where.name}: {rule['alert']}", rule["expr"])
    return found


def wrong_by_promtool(folder, say):
    if not shutil.which("promtool"):
        say("alerts: not tested, promtool is not on the path")
        return []
    found = []
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        done = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            found.append(f"promtool {' '.join(command)}: {(done.stdout + done.stderr).strip()}")
    say("alerts: tested by promtool")
    return found


def check(root, say):
    dashboard, rules = root / "deploy/grafana/dashboard.json", root / "deploy/prometheus/rules.yaml"
    found = wrong_dashboard(root, dashboard) + wrong_rules(root, rules) + wrong_by_promtool(rules.parent, say)
    say("dashboard and alerts: PromQL, metrics and labels")
    return found
