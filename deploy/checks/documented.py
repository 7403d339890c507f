"""Reads metrics, flags and configuration keys from docs/operations.md, and checks the links of both pages."""
import re
import tomllib

PAGE = "docs/operations.md"
NODE_ARGUMENTS = {"coordinator", "worker", "scan", "demo", "certificates", "jobs"}


def tables(root, first_column):
    """The rows of all tables of the page whose first column has this heading."""
    rows, inside = [], False
    for line in (root / PAGE).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == first_column:
            inside = True
        elif inside and not set(cells[0]) <= set("- "):
            rows.append(cells)
    if not rows:
        raise ValueError(f"{PAGE} has no table headed {first_column!r}")
    return rows


def metrics(root):
    """Labels by name, with the series of histograms."""
    found = {}
    for names, kind, _, labels, _ in tables(root, "metric"):
        for name in re.findall(r"`(\w+)`", names):
            series = [name + end for end in ("_bucket", "_sum", "_count")] if kind == "histogram" else [name]
            for one in series:
                known = set(re.findall(r"`(\w+)`", labels)) | ({"le"} if one.endswith("_bucket") else set())
                found[one] = found.get(one, set()) | known
    return found


def flags(root):
    return {flag for row in tables(root, "flag") for flag in re.findall(r"`(--[\w-]+)", row[0])}


def keys(root):
    return {key for row in tables(root, "key") for key in re.findall(r"`([\w.]+)`", row[0])}


def wrong_arguments(root, where, arguments):
    """Compares arguments of `hindcast` with the flags that the page lists."""
    if arguments and arguments[0] not in NODE_ARGUMENTS:
        yield f"{where}: hindcast has no command {arguments[0]!r}"
    if arguments and arguments[0] in ("coordinator", "worker"):
        for argument in arguments[1:]:
            if argument.startswith("--") and argument.split("=")[0] not in flags(root):
                yield f"{where}: {PAGE} knows no flag {argument.split('=')[0]}"


def wrong_configuration(root, where, text):
    """Compares a coordinator's configuration with the keys that the page lists."""
    known = keys(root)
    configuration = tomllib.loads(text)
    for key, value in configuration.items():
        parts = value if isinstance(value, list) and all(isinstance(part, dict) for part in value) else [value]
        for part in parts:
            used = [f"{key}.{inner}" for inner in part] if isinstance(part, dict) else [key]
            yield from (f"{where}: {PAGE} knows no key {name}" for name in used if name not in known)
    for token in configuration.get("tokens", []):
        if not re.fullmatch(r"[0-9a-f]{64}", token.get("sha256", "")):
            yield f"{where}: token {token.get('name')} has no SHA-256"


def check(root, say):
    found = []
    for page in (root / PAGE, root / "deploy/README.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                found.append(f"{page.relative_to(root)}: {target} does not exist")
    for file in sorted((root / "deploy").rglob("coordinator.toml")):
        found += wrong_configuration(root, file.relative_to(root), file.read_text())
    say(f"{PAGE}: {len(metrics(root))} series, {len(flags(root))} flags, {len(keys(root))} keys; links; configuration files")
    return found
