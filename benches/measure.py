"""A command's wall clock, processor seconds and peak memory, with or without a hard limit on its memory."""
import dataclasses
import os
import resource
import subprocess
import threading
import time
from pathlib import Path

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 0.1


@dataclasses.dataclass
class Run:
    """Resources that a command used. Memory is in MiB, of all its processes together."""
    seconds: float
    processor: float
    peak: float
    heap: float  # the part of the peak that is not file pages: the kernel may drop file pages of a lake on disk
    status: int  # negative: the signal that ended it
    output: str
    errors: str

    def __str__(self):
        ended = "" if self.status == 0 else f", ended with {self.status}"
        return (f"{self.seconds:7.1f} s, {self.processor:7.1f} processor seconds, peak {self.peak:6.0f} MiB, "
                f"{self.heap:6.0f} of them no file's{ended}")


def run(line, limit_bytes=None, environment=None, seconds=None):
    """Runs a command; ends it after `seconds`. With `limit_bytes` the kernel ends it if it needs more (root, Linux, cgroups)."""
    limit = Limit(limit_bytes) if limit_bytes else None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    child = subprocess.Popen(limit.line(line) if limit else line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=dict(os.environ, **environment) if environment else None)
    watch = Watch(child.pid)
    watch.start()
    try:
        output, errors = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        watch.end_all()
        output, errors = child.communicate()
    taken = time.monotonic() - started
    watch.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_for = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if limit:
        limit.remove()
    return Run(taken, max(watch.processor(), waited_for), watch.peak / 2**20, watch.heap / 2**20, child.returncode, output, errors)


class Watch(threading.Thread):
    """Samples a process and its descendants ten times a second."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.peak, self.heap, self.used, self.done = root, 0, 0, {}, threading.Event()

    def run(self):
        while not self.done.wait(SAMPLE_SECONDS):
            self.look()

    def look(self):
        peak, heap, largest = 0, 0, 0
        for process in descendants(self.root):
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
                _, resident, shared, *_ = map(int, Path(f"/proc/{process}/statm").read_text().split())
                status = Path(f"/proc/{process}/status").read_text()
            except (OSError, ValueError):
                continue
            self.used[process] = (int(fields[11]) + int(fields[12])) / TICKS
            peak, heap = peak + resident * PAGE, heap + (resident - shared) * PAGE
            for row in status.splitlines():
                if row.startswith("VmHWM:"):
                    largest = max(largest, int(row.split()[1]) * 1024)
        self.peak, self.heap = max(self.peak, peak, largest), max(self.heap, heap)

    def processor(self):
        return sum(self.used.values())

    def end_all(self):
        for process in descendants(self.root):
            try:
                os.kill(process, 9)
            except OSError:
                pass

    def stop(self):
        self.done.set()
        self.join()


def descendants(root):
    found = [root]
    for process in found:
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                found += map(int, Path(f"/proc/{process}/task/{task}/children").read_text().split())
        except OSError:
            pass
    return found


class Limit:
    """A group of processes with a memory limit, by either version of cgroups."""

    def __init__(self, limit_bytes):
        is_first_version = os.path.exists("/sys/fs/cgroup/memory")
        self.folder = Path("/sys/fs/cgroup/memory" if is_first_version else "/sys/fs/cgroup") / f"hindcast-bench-{os.getpid()}"
        self.folder.mkdir()
        (self.folder / ("memory.limit_in_bytes" if is_first_version else "memory.max")).write_text(str(limit_bytes))

    def line(self, line):
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs; exec "$@"', "sh"] + line

    def remove(self):
        for _ in range(50):
            try:
                return self.folder.rmdir()
            except OSError:
                time.sleep(0.1)
