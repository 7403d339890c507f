"""Plants errors one at a time in a copy of the files. The check that is responsible must detect each."""
import shutil
import sys
import tempfile
from pathlib import Path

# File, existing text, replacement, and a part of the expected message.
PLANTED = [
    ("deploy/kubernetes/base/worker.yaml", "terminationGracePeriodSeconds: 330", "terminationGracePeriod: 330", "terminationGracePeriod"),
    ("deploy/kubernetes/base/worker.yaml", "terminationGracePeriodSeconds: 330", "terminationGracePeriodSeconds: 300", "killed before"),
    ("deploy/kubernetes/base/worker.yaml", "httpGet: {path: /readyz, port: http}", "httpGet: {path: /readyz, port: web}", "asks the port web"),
    ("deploy/kubernetes/base/worker.yaml", "containerPort: 7482", "containerPort: 7492", "listens on 0.0.0.0:7482"),
    ("deploy/kubernetes/base/worker.yaml", "--drain-timeout=300s", "--drain-time=300s", "knows no flag --drain-time"),
    ("deploy/kubernetes/base/worker.yaml", "serviceAccountName: hindcast-worker", "serviceAccountName: worker", "no service account worker"),
    ("deploy/kubernetes/base/worker.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "not restricted"),
    ("deploy/kubernetes/base/worker.yaml", "secretName: hindcast-worker-tls", "secretName: worker-tls", "no secret worker-tls"),
    ("deploy/kubernetes/base/worker.yaml", "https://hindcast-coordinator:7480", "https://coordinator:7480", "no service answers"),
    ("deploy/kubernetes/base/worker.yaml", "cpu: \"4\", memory", "cpus: \"4\", memory", "requests and limits"),
    ("deploy/kubernetes/base/coordinator.yaml", "targetPort: grpc", "targetPort: rpc", "has no port rpc"),
    ("deploy/kubernetes/base/coordinator.yaml", "strategy: {type: Recreate}", "strategy: {kind: Recreate}", "'kind' was unexpected"),
    ("deploy/kubernetes/base/coordinator.yaml", "secret: {secretName", "secret: {name", "('name' was unexpected)"),
    ("deploy/kubernetes/base/network.yaml", "{protocol: TCP, port: 7482}", "{protocol: TCP, port: 7483}", "keep hindcast-coordinator from port 7482"),
    ("deploy/kubernetes/base/network.yaml", "{protocol: TCP, port: 443}", "{protocol: TCP, port: 444}", "may get out to"),
    ("deploy/kubernetes/base/network.yaml", "- {protocol: TCP, port: 7482}", "- {protocol: TCP, port: 7482}\n    - {protocol: TCP, port: 7483}",
     "let hindcast-coordinator to port 7483"),
    ("deploy/kubernetes/base/network.yaml", "podSelector: {}\n  policy", "podSelector: {matchLabels: {a: b}}\n  policy", "is under no policy"),
    ("deploy/kubernetes/base/worker.yaml", "terminationGracePeriodSeconds: 330", "terminationGracePeriodSeconds: soon", "not of type 'integer'"),
    ("deploy/kubernetes/base/kustomization.yaml", "newTag: 0.1.0", "newTag: latest", "is not pinned"),
    ("deploy/kubernetes/base/kustomization.yaml", "- worker.yaml", "- workers.yaml", "workers.yaml"),
    ("deploy/kubernetes/overlays/s3/kustomization.yaml", "role-arn: arn", "role-arn arn", "s3"),
    ("deploy/kubernetes/components/daily-scan/cron-job.yaml", "https://hindcast-coordinator:7480", "https://coordinator:7480", "no service answers"),
    ("deploy/kubernetes/components/daily-scan/cron-job.yaml", "--out=/scratch/out", "--out=/out", "--out is in no volume"),
    ("deploy/kubernetes/components/daily-scan/cron-job.yaml", "concurrencyPolicy: Forbid", "concurrency: Forbid", "concurrency"),
    ("deploy/kubernetes/components/daily-scan/cron-job.yaml", ", hindcast-client: \"true\"}", "}", "keep hindcast-daily-scan from port 7480"),
    ("deploy/kubernetes/components/daily-scan/network.yaml", "port: 7480", "port: 7482", "keep hindcast-daily-scan from port 7480"),
    ("deploy/kubernetes/overlays/s3/coordinator.toml", "lakes = ", "lake = ", "knows no key lake"),
    ("deploy/kubernetes/components/spot/worker.yaml", "terminationGracePeriodSeconds: 25", "terminationGracePeriodSeconds: 20", "killed before"),
    ("deploy/kubernetes/components/spot/kustomization.yaml", "path: /spec/template/spec/containers/0/args/7\n      value: --drain-timeout=20s",
     "path: /spec/template/spec/containers/0/args/7\n      value: --drain-time=20s", "knows no flag --drain-time"),
    ("deploy/kubernetes/components/keda/scaled-object.yaml", "hindcast_units_queued", "hindcast_queue", "knows no metric hindcast_queue"),
    ("deploy/kubernetes/components/keda/scaled-object.yaml", "hindcast-coordinator.hindcast.svc", "hindcast-coordinator.default.svc",
     "another namespace"),
    ("deploy/kubernetes/components/cert-manager/certificates.yaml", "  - hindcast-client\n", "  - node.hindcast.internal\n",
     "must not be a node's"),
    ("deploy/kubernetes/components/monitoring/pod-monitor.yaml", "port: http", "port: metrics", "has no port metrics"),
    ("deploy/kubernetes/overlays/local/kustomization.yaml", "key: secret-key", "key: secret", "has no key secret"),
    ("deploy/compose/compose.yaml", "read_only: true\n  cap_drop", "readonly: true\n  cap_drop", "readonly"),
    ("deploy/compose/compose.yaml", "HINDCAST_TOKEN: demo", "HINDCAST_TOKEN: other", "does not know its token"),
    ("deploy/compose/compose.yaml", "127.0.0.1:7483/readyz", "127.0.0.1:7481/readyz", "does not ask port 7483"),
    ("deploy/compose/compose.yaml", "source: certificates, target: /etc/hindcast/tls, read_only: true, volume: {subpath: tls/worker}",
     "source: certs, target: /etc/hindcast/tls, read_only: true", "mounts the volume certs"),
    ("deploy/compose/compose.yaml", "target: with-busybox", "target: busybox", "no stage busybox"),
    ("deploy/compose/coordinator.toml", "role = ", "roles = ", "knows no key tokens.roles"),
    ("deploy/docker/Dockerfile", "WORKDIR /scratch", "WORKDIR scratch", "DL3000"),
    ("deploy/grafana/dashboard.json", "sum(hindcast_workers{", "sum(hindcast_worker{", "knows no metric hindcast_worker"),
    ("deploy/grafana/dashboard.json", "sum by (reason) (rate(", "sum by (reason) rate(", "dashboard.json: Retries by reason"),
    ("deploy/grafana/dashboard.json", "\"panels\": [", "\"panels\": ", "JSONDecodeError"),
    ("deploy/prometheus/rules.yaml", "outcome=\"failed\"", "result=\"failed\"", "has no label result"),
    ("deploy/prometheus/rules.yaml", "> 0 and hindcast_workers == 0", "> 0 and hindcast_workers == 9", "promtool test"),
    ("docs/operations.md", "| `hindcast_jobs` | gauge", "| `hindcast_job` | gauge", "knows no metric hindcast_jobs"),
    ("docs/operations.md", "](configuration.md)", "](configurations.md)", "configurations.md does not exist"),
]


def run(root, problems):
    unseen = 0
    for path, old, new, said in PLANTED:
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch)
            shutil.copytree(root / "deploy", copy / "deploy", ignore=shutil.ignore_patterns("certificates"))
            shutil.copytree(root / "docs", copy / "docs")
            text = (copy / path).read_text()
            (copy / path).write_text(text.replace(old, new))
            found = problems(copy) if old in text else []
        is_seen = any(said in problem for problem in found)
        unseen += not is_seen
        print(f"{'seen' if is_seen else 'UNSEEN'}: {path}: {new.strip().splitlines()[0]}", flush=True)
        if not is_seen:
            print(f"  instead: {found[:3] if old in text else 'there is nothing to replace'}", file=sys.stderr)
    print(f"deploy: {len(PLANTED) - unseen} of {len(PLANTED)} planted errors seen")
    return 1 if unseen else 0
