"""Runs all checks, or all planted errors."""
import sys
from pathlib import Path

from . import compose, documented, kubernetes, metrics, planted

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS = [documented.check, metrics.check, compose.check, kubernetes.check]


def problems(root, say=lambda line: None):
    found = []
    for check in CHECKS:
        try:
            found += check(root, say)
        except Exception as error:  # A file that can't be read is also a problem.
            found.append(f"{check.__module__}: {type(error).__name__}: {error}")
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--planted"]:
        sys.exit(planted.run(ROOT, problems))
    if sys.argv[1:]:
        sys.exit("usage: deploy/validate [--planted]")
    wrong = problems(ROOT, print)
    for problem in wrong:
        print(f"wrong: {problem}", file=sys.stderr)
    print(f"deploy: {len(wrong)} wrong" if wrong else "deploy: all good")
    sys.exit(1 if wrong else 0)
