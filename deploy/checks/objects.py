"""References between rendered objects: names, ports, volumes, times, arguments; and restrictions of pods."""
import re
import tomllib
from urllib.parse import urlparse

from . import documented

# Secrets that are created elsewhere: by the component cert-manager, or by hand as deploy/README.md says.
OF_NODES = {"hindcast-coordinator-tls", "hindcast-worker-tls"}
MADE_OUTSIDE = {*OF_NODES, "hindcast-client-tls", "hindcast-scan-token"}


def named(things, kind):
    return {thing["metadata"]["name"]: thing for thing in things if thing["kind"] == kind}


def workloads(things):
    found = [thing for thing in things if thing["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job")]
    # A CronJob counts as the job that it creates.
    jobs = [thing for thing in things if thing["kind"] == "CronJob"]
    return found + [{**thing, "spec": thing["spec"]["jobTemplate"]["spec"]} for thing in jobs]


def containers(workload):
    spec = workload["spec"]["template"]["spec"]
    return spec.get("initContainers", []) + spec["containers"]


def ports(workload):
    """Port numbers by name."""
    return {port["name"]: port["containerPort"] for one in containers(workload) for port in one.get("ports", [])}


def selects(labels, workload):
    own = workload["spec"]["template"]["metadata"]["labels"]
    return all(own.get(key) == value for key, value in labels.items())


def wrong_selectors(things):
    for name, service in named(things, "Service").items():
        behind = [workload for workload in workloads(things) if selects(service["spec"]["selector"], workload)]
        if len(behind) != 1:
            yield f"Service {name} selects {len(behind)} workloads"
        for port in service["spec"]["ports"]:
            for workload in behind:
                if port["targetPort"] not in (*ports(workload), *ports(workload).values()):
                    yield f"Service {name}: {workload['metadata']['name']} has no port {port['targetPort']}"
    for workload in workloads(things):
        # The cluster sets the selector of a job.
        if "selector" in workload["spec"] and not selects(workload["spec"]["selector"]["matchLabels"], workload):
            yield f"{workload['metadata']['name']} does not select its own pods"
        for spread in workload["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"]["matchLabels"], workload):
                yield f"{workload['metadata']['name']} spreads over pods that are not its own"
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        for name, thing in named(things, kind).items():
            behind = [workload for workload in workloads(things) if selects(thing["spec"]["selector"]["matchLabels"], workload)]
            if not behind:
                yield f"{kind} {name} selects nothing"
            for endpoint in thing["spec"].get("podMetricsEndpoints", []):
                for workload in behind:
                    if endpoint["port"] not in ports(workload):
                        yield f"{kind} {name}: {workload['metadata']['name']} has no port {endpoint['port']}"


def wrong_names(things):
    secrets = {*named(things, "Secret"), *MADE_OUTSIDE}
    secrets |= {certificate["spec"]["secretName"] for certificate in named(things, "Certificate").values()}
    maps, accounts = named(things, "ConfigMap"), {*named(things, "ServiceAccount"), "default"}
    for workload in workloads(things):
        where, spec = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
        if spec.get("serviceAccountName", "default") not in accounts:
            yield f"{where}: there is no service account {spec['serviceAccountName']}"
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        for volume in spec.get("volumes", []):
            if "secret" in volume and volume["secret"]["secretName"] not in secrets:
                yield f"{where}: there is no secret {volume['secret']['secretName']}"
            if "configMap" in volume and volume["configMap"]["name"] not in maps:
                yield f"{where}: there is no config map {volume['configMap']['name']}"
        for one in containers(workload):
            yield from wrong_container(f"{where}/{one['name']}", one, volumes, things)
    issuers = named(things, "Issuer")
    for name, certificate in named(things, "Certificate").items():
        if certificate["spec"]["issuerRef"]["name"] not in issuers:
            yield f"Certificate {name}: there is no issuer {certificate['spec']['issuerRef']['name']}"
        is_node = "node.hindcast.internal" in certificate["spec"].get("dnsNames", [])
        if is_node != (certificate["spec"]["secretName"] in OF_NODES):
            yield f"Certificate {name} must{' not' if is_node else ''} be a node's"


def wrong_container(where, container, volumes, things):
    own = {port["name"] for port in container.get("ports", [])}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container and container[probe]["httpGet"]["port"] not in own:
            yield f"{where}: {probe} asks the port {container[probe]['httpGet']['port']}, which is not there"
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"{where}: there is no volume {mount['name']}"
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference and reference["key"] not in named(things, "Secret").get(reference["name"], {}).get("data", {}):
            yield f"{where}: {reference['name']} has no key {reference['key']}"
    for name in re.findall(r"\$\((\w+)\)", " ".join(container.get("args", []))):
        if name not in [variable["name"] for variable in container.get("env", [])]:
            yield f"{where}: there is no variable {name}"


def wrong_hold(things):
    for workload in workloads(things):
        where, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
        context = pod.get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{where} may run as root or without a seccomp profile"
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{where} mounts a token of its service account"
        for one in containers(workload):
            held = one.get("securityContext", {})
            is_held = held.get("readOnlyRootFilesystem") and held.get("allowPrivilegeEscalation") is False
            if not is_held or held.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{where}/{one['name']} is not restricted"
            given = one.get("resources", {})
            if not {"cpu", "memory"} <= set(given.get("requests", {})) & set(given.get("limits", {})):
                yield f"{where}/{one['name']} has no requests and limits of cpu and memory"
            if not re.search(r"(:(?!latest)[\w.-]+|@sha256:[0-9a-f]{64})$", one["image"]):
                yield f"{where}/{one['name']}: the image {one['image']} is not pinned"


def flag(container, name):
    return next((argument.partition("=")[2] for argument in container["args"] if argument.startswith(f"{name}=")), "")


def wrong_arguments(root, things):
    """Command lines and configuration against documentation, ports and times."""
    services = named(things, "Service")
    for workload in workloads(things):
        where = workload["metadata"]["name"]
        for one in containers(workload):
            if re.search(r"(^|/)hindcast(:|@|$)", one["image"]):
                yield from documented.wrong_arguments(root, where, one["args"])
                if one["args"][0] == "scan":
                    yield from wrong_address(where, flag(one, "--coordinator"), services)
                    yield from wrong_scan(where, one, workload)
    for workload in named(things, "Deployment").values():
        one, where = workload["spec"]["template"]["spec"]["containers"][0], workload["metadata"]["name"]
        if one["name"] == "coordinator":
            for name, config in named(things, "ConfigMap").items():
                text = config["data"]["coordinator.toml"]
                yield from documented.wrong_configuration(root, name, text)
                listens = tomllib.loads(text)
                yield from wrong_ports(where, workload, listens.get("listen"), listens.get("http"))
        if one["name"] == "worker":
            yield from wrong_ports(where, workload, flag(one, "--listen"), flag(one, "--http"))
            drain = int(flag(one, "--drain-timeout").removesuffix("s") or 300)
            if workload["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30) <= drain:
                yield f"{where} is killed before its tasks may end"
            yield from wrong_address(where, flag(one, "--coordinator"), services)
    for name, scaled in named(things, "ScaledObject").items():
        if scaled["spec"]["scaleTargetRef"]["name"] not in named(things, "Deployment"):
            yield f"ScaledObject {name} scales nothing"
        for trigger in scaled["spec"]["triggers"]:
            metric = trigger["metadata"]["valueLocation"]
            if metric not in documented.metrics(root):
                yield f"ScaledObject {name}: {documented.PAGE} knows no metric {metric}"
            yield from wrong_address(f"ScaledObject {name}", trigger["metadata"]["url"], services)


def wrong_scan(where, container, workload):
    """The files of a scan must be in a mounted volume."""
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    for name in ("--tls", "--token-file", "--out"):
        if not any(flag(container, name).startswith(path) for path in mounted):
            yield f"{where}: {name} is in no volume"
    if workload["spec"]["template"]["metadata"]["labels"].get("hindcast-client") != "true":
        yield f"{where} is no client by its labels"


def wrong_ports(where, workload, listen, http):
    for name, address in (("grpc", listen), ("http", http)):
        if not address or int(address.rpartition(":")[2]) != ports(workload).get(name):
            yield f"{where} listens on {address}, but its port {name} is {ports(workload).get(name)}"


def wrong_address(where, url, services):
    host, port = urlparse(url).hostname, urlparse(url).port
    name, _, rest = (host or "").partition(".")
    if name not in services or port not in [one["port"] for one in services[name]["spec"]["ports"]]:
        yield f"{where}: no service answers {url}"
    elif rest and rest.split(".")[0] != services[name]["metadata"]["namespace"]:
        yield f"{where}: {url} names another namespace"


def check(root, things):
    yield from wrong_selectors(things)
    yield from wrong_names(things)
    yield from wrong_hold(things)
    yield from wrong_arguments(root, things)
