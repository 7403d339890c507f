"""Compose and Dockerfile: schema, lint, references, and restrictions of services."""
import hashlib
import json
import re
import shlex
import subprocess
import tomllib
from importlib import resources

import jsonschema
import yaml

from . import documented


def schema():
    # The package vendors the Compose specification's schema for its own command line.
    return json.loads(resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())


def wrong_references(file, services):
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            if other not in services:
                yield f"{name} depends on {other}, which is not there"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0] if isinstance(volume, str) else volume.get("source")
            if source and source not in file["volumes"]:
                yield f"{name} mounts the volume {source}, which is not there"
        for config in service.get("configs", []):
            if config["source"] not in file["configs"]:
                yield f"{name} reads the config {config['source']}, which is not there"


def wrong_hold(root, services):
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (root / "deploy/docker/Dockerfile").read_text(), re.MULTILINE))
    for name, service in services.items():
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            yield f"{name} is not read-only without capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name} may gain privileges"
        if not re.search(r"(:(?!latest)[\w.-]+|@sha256:[0-9a-f]{64})$", service.get("image", "")):
            yield f"{name}: the image {service.get('image')} is not pinned"
        if "build" in service and service["build"]["target"] not in stages:
            yield f"{name}: the Dockerfile has no stage {service['build']['target']}"
        if service.get("restart") and "healthcheck" not in service:
            yield f"{name} has no health check"


def hindcast_arguments(service):
    """The arguments of `hindcast`, also in a line of shell."""
    command = service["command"]
    if "entrypoint" not in service:
        return command
    words = shlex.split(command[0])
    return words[words.index("hindcast") + 1 :]


def wrong_ports(services):
    """Health checks must use addresses that the process listens on."""
    worker = [argument.partition("=")[2] for argument in services["worker"]["command"] if argument.startswith("--http=")]
    port = worker[0].rpartition(":")[2] if worker else None
    if f":{port}/" not in services["worker"]["healthcheck"]["test"][-1]:
        yield f"worker: the health check does not ask port {port}"


def check(root, say):
    folder = root / "deploy/compose"
    file = yaml.safe_load((folder / "compose.yaml").read_text())
    services, found = file["services"], []
    validator = jsonschema.validators.validator_for(schema())(schema())
    found += [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(file)]
    found += list(wrong_references(file, services)) + list(wrong_hold(root, services)) + list(wrong_ports(services))
    for name, service in services.items():
        if service["image"].startswith("hindcast"):
            found += documented.wrong_arguments(root, name, hindcast_arguments(service))
    for name, config in file["configs"].items():
        if not (folder / config["file"]).exists():
            found.append(f"{name}: {config['file']} does not exist")
    tokens = tomllib.loads((folder / "coordinator.toml").read_text())["tokens"]
    token = hashlib.sha256(services["client"]["environment"]["HINDCAST_TOKEN"].encode()).hexdigest()
    if token not in [known["sha256"] for known in tokens]:
        found.append("client: the coordinator does not know its token")
    lint = subprocess.run(["hadolint", "docker/Dockerfile"], cwd=root / "deploy", capture_output=True, text=True)
    found += (lint.stdout + lint.stderr).splitlines()
    say(f"Compose: {len(services)} services against the Compose specification's schema; Dockerfile by hadolint")
    return [problem if problem.startswith("docker/") else f"compose.yaml: {problem}" for problem in found]
