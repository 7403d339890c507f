"""Kubernetes: every overlay alone and with all components, rendered by kubectl, checked against the schemas and for consistency."""
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path

import jsonschema
import yaml
from referencing import Registry, Resource

from . import network, objects

# The oldest supported release, and the newest that the schemas know.
VERSIONS = ["1.31.0", "1.37.0"]
# Third-party resources without schemas in the package. Their references are checked all the same.
FOREIGN = {"cert-manager.io", "keda.sh", "monitoring.coreos.com"}


@cache
def schema_of(version, name):
    folder = resources.files("kubernetes_validate").joinpath(f"kubernetes-json-schema/v{version}-local-strict")
    file = folder.joinpath(name)
    return json.loads(file.read_text()) if file.is_file() else None


@cache
def validator(version, kind, api_version):
    group, _, number = api_version.rpartition("/")
    prefix = f"{group.split('.')[0]}-" if group else ""
    schema = schema_of(version, f"{kind.lower()}-{prefix}{number}.json")
    if schema is None:
        return None
    definitions = Resource.from_contents(schema_of(version, "_definitions.json"))
    return jsonschema.Draft202012Validator(schema, registry=definitions @ Registry())


def wrong_schema(where, thing):
    if thing["apiVersion"].split("/")[0] in FOREIGN:
        return
    for version in VERSIONS:
        against = validator(version, thing["kind"], thing["apiVersion"])
        if against is None:
            yield f"{where}: Kubernetes {version} has no {thing['kind']} of {thing['apiVersion']}"
            continue
        for error in against.iter_errors(thing):
            yield f"{where}: {'.'.join(map(str, error.path))}: {error.message} (Kubernetes {version})"


def render(folder):
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{folder.name}: {done.stderr.strip()}")
    if done.stderr.strip():
        raise ValueError(f"{folder.name}: kustomize warns: {done.stderr.strip()}")
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


def copy(root, into):
    """The files with stand-ins for the certificates that the overlay local reads, and with a variant of each overlay with all components."""
    top = Path(shutil.copytree(root / "deploy/kubernetes", into / "kubernetes"))
    for role in ("coordinator", "worker"):
        folder = top / "overlays/local/certificates" / role
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("ca.crt", "tls.crt", "tls.key"):
            (folder / name).write_text("stand-in")
    components = sorted(top.glob("components/*"))
    places = [top / "base", *sorted(top.glob("overlays/*"))]
    for place in list(places):
        has = yaml.safe_load((place / "kustomization.yaml").read_text()).get("components", [])
        extra = [os.path.relpath(one, top / "variant") for one in components if f"../../components/{one.name}" not in has]
        variant = top / f"{place.name} with all components"
        variant.mkdir()
        text = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "hindcast"}
        text |= {"resources": [os.path.relpath(place, variant)], "components": extra}
        (variant / "kustomization.yaml").write_text(yaml.safe_dump(text))
        places.append(variant)
    return places


def check(root, say):
    found, skipped = [], set()
    with tempfile.TemporaryDirectory() as scratch:
        for place in copy(root, Path(scratch)):
            things, malformed = render(place), []
            for thing in things:
                malformed += wrong_schema(f"{place.name}: {thing['kind']} {thing['metadata']['name']}", thing)
                if thing["apiVersion"].split("/")[0] in FOREIGN:
                    skipped.add(thing["kind"])
            found += malformed
            if malformed:  # The following checks read fields by name.
                continue
            found += [f"{place.name}: {problem}" for problem in objects.check(root, things)]
            found += [f"{place.name}: {problem}" for problem in network.check(things)]
            say(f"kubernetes/{place.name}: {len(things)} objects, against Kubernetes {' and '.join(VERSIONS)}; references; network policies")
    say(f"no schema here, references only: {', '.join(sorted(skipped))}")
    return found
