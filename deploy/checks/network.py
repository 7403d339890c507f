"""Network policies, followed from pod to pod: required connections are allowed, and no others."""
from .objects import ports, selects, workloads

# Allowed connections: source, target, port. Only the overlay local has the store.
WANTED = {
    ("hindcast-worker", "hindcast-coordinator", 7480),
    ("hindcast-coordinator", "hindcast-worker", 7482),
    ("hindcast-daily-scan", "hindcast-coordinator", 7480),
    ("hindcast-coordinator", "hindcast-store", 7070),
    ("hindcast-worker", "hindcast-store", 7070),
}
# Required connections to targets outside of these pods.
OUTSIDE = {("UDP", 53), ("TCP", 53), ("TCP", 443)}
# Pods that only need DNS.
INSIDE = {"hindcast-daily-scan"}


def policies_on(things, workload, direction):
    return [
        thing["spec"]
        for thing in things
        if thing["kind"] == "NetworkPolicy"
        and direction in thing["spec"]["policyTypes"]
        and selects(thing["spec"]["podSelector"].get("matchLabels", {}), workload)
    ]


def is_open(things, of, other, port, direction):
    """Whether the policies on `of` let `other` through in this direction."""
    rules_of, peers_of = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    on = policies_on(things, of, direction)
    for rule in (rule for spec in on for rule in spec.get(rules_of, [])):
        peers = rule.get(peers_of)
        # A peer with a namespace selector is in another namespace, except {}, which means everywhere.
        here = [peer for peer in peers or [] if peer.get("namespaceSelector", {}) == {} and "podSelector" in peer]
        is_peer = peers is None or any(selects(peer["podSelector"].get("matchLabels", {}), other) for peer in here)
        if is_peer and port in [one["port"] for one in rule.get("ports", [])]:
            return True
    return not on


def wrong_flows(things):
    everyone = workloads(things)
    names = {one["metadata"]["name"] for one in everyone}
    through = {
        (source["metadata"]["name"], target["metadata"]["name"], port)
        for source in everyone
        for target in everyone
        for port in ports(target).values()
        if is_open(things, source, target, port, "Egress") and is_open(things, target, source, port, "Ingress")
    }
    wanted = {flow for flow in WANTED if {flow[0], flow[1]} <= names}
    yield from (f"network policies keep {flow[0]} from port {flow[2]} of {flow[1]}" for flow in sorted(wanted - through))
    yield from (f"network policies let {flow[0]} to port {flow[2]} of {flow[1]}" for flow in sorted(through - wanted))


def wrong_rules(things):
    everyone = workloads(things)
    known = {port for one in everyone for port in ports(one).values()} | {port for _, port in OUTSIDE}
    for thing in (thing for thing in things if thing["kind"] == "NetworkPolicy"):
        name, spec = thing["metadata"]["name"], thing["spec"]
        on = [one for one in everyone if selects(spec["podSelector"].get("matchLabels", {}), one)]
        if not on:
            yield f"NetworkPolicy {name} selects nothing"
        for rule in spec.get("ingress", []):
            for port in (one["port"] for one in rule["ports"]):
                if not any(port in ports(one).values() for one in on):
                    yield f"NetworkPolicy {name}: nothing it selects has port {port}"
        for rule in spec.get("egress", []):
            yield from (f"NetworkPolicy {name}: port {one['port']} is nobody's" for one in rule["ports"] if one["port"] not in known)


def wrong_outside(things):
    for one in workloads(things):
        if not policies_on(things, one, "Ingress") or not policies_on(things, one, "Egress"):
            yield f"{one['metadata']['name']} is under no policy"
        if one["metadata"]["name"] == "hindcast-store":
            continue
        rules = [rule for spec in policies_on(things, one, "Egress") for rule in spec.get("egress", [])]
        away = [rule for rule in rules if "to" not in rule or any("namespaceSelector" in peer for peer in rule["to"])]
        allowed = {(port["protocol"], port["port"]) for rule in away for port in rule["ports"]}
        needed = OUTSIDE - {("TCP", 443)} if one["metadata"]["name"] in INSIDE else OUTSIDE
        if allowed != needed:
            yield f"{one['metadata']['name']} may get out to {sorted(allowed)}, not to {sorted(needed)}"


def check(things):
    yield from wrong_flows(things)
    yield from wrong_rules(things)
    yield from wrong_outside(things)
