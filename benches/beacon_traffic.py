"""Three weeks of labelled firewall sessions: a grid of beacons among benign traffic, much of it periodic.

A pair is a dict: label (its kind), cell (for a beacon: jitter, interval, loss), source, destination, port, protocol,
times (float64 seconds since the start, sorted) and sent (bytes of each session). The seed determines everything.

Benign traffic imitates how such services are known to behave; it is not measured. Intervals are those that the products
document or commonly show; sizes and jitter are assumptions. `benign` has one function per kind.
"""
import numpy as np

DAYS = 21
DAY, HOUR = 86_400, 3_600
END = DAYS * DAY
START_US = 1_772_409_600_000_000  # 2026-03-02T00:00:00Z, a Monday
HOSTS, SERVERS = 300, 30

JITTERS = [0, 10, 20, 30, 50]
# Interval, and the length of the observation: operators use short sleeps for short work.
INTERVALS = {"1 s": (1, 1 * HOUR), "10 s": (10, 4 * HOUR), "60 s": (60, 2 * DAY), "5 min": (300, 7 * DAY),
             "1 h": (HOUR, 14 * DAY), "1 day": (DAY, DAYS * DAY)}
LOSSES = [0, 10, 25, 50]


class Traffic:
    """Collects pairs, and assigns separate addresses to every service."""

    def __init__(self, seed, repeats):
        self.rng = np.random.default_rng(seed)
        self.repeats = repeats
        self.pairs = []
        self.addresses = 0
        self.hosts = [f"10.1.{number // 200}.{number % 200 + 1}" for number in range(HOSTS)]
        self.servers = [f"10.9.0.{number + 1}" for number in range(SERVERS)]

    def address(self):
        self.addresses += 1
        return f"198.{18 + self.addresses // 60_000}.{self.addresses // 250 % 250}.{self.addresses % 250 + 1}"

    def add(self, label, source, destination, times, sent, port=443, protocol="TCP", cell=None):
        times = np.asarray(times, dtype=float)
        keep = (times >= 0) & (times < END)
        times, sent = times[keep], np.broadcast_to(sent, keep.shape)[keep]
        order = np.argsort(times, kind="stable")
        if len(times):
            self.pairs.append(dict(label=label, cell=cell, source=source, destination=destination, port=port,
                                   protocol=protocol, times=times[order], sent=sent[order].astype(np.int64)))

    def sizes(self, count, middle, sigma):
        """Log-normal sizes with that median and that deviation of the natural logarithm."""
        return np.exp(np.log(middle) + sigma * self.rng.standard_normal(count)).astype(np.int64) + 1

    def clock(self, interval, jitter, start=0.0, end=END):
        """A sleep loop: each gap is the interval times 1 plus or minus the jitter, uniform."""
        count = int((end - start) / interval / max(1 - jitter, 0.4)) + 2
        gaps = interval * (1 + jitter * self.rng.uniform(-1, 1, count))
        times = start + self.rng.uniform(0, interval) + np.cumsum(gaps)
        return times[times < end]

    def office_hours(self, times, begin=8.5, end=17.5):
        """Filters times to the office hours of working days; each day the person arrives and leaves at a different minute."""
        day, hour = (times // DAY).astype(int), times % DAY / HOUR
        early = self.rng.uniform(begin - 0.7, begin + 0.7, DAYS)[np.clip(day, 0, DAYS - 1)]
        late = self.rng.uniform(end - 0.9, end + 0.9, DAYS)[np.clip(day, 0, DAYS - 1)]
        return times[(hour >= early) & (hour < late) & (day % 7 < 5)]


def beacons(traffic):
    """`repeats` beacons per cell of the grid. Every other one draws sleeps from interval*(1-j)..interval (like Cobalt Strike),
    the others from interval*(1-j)..interval*(1+j) (like Empire and Sliver); a tenth opens bursts of two to four sessions."""
    rng = traffic.rng
    for jitter in JITTERS:
        for name, (interval, length) in INTERVALS.items():
            for loss in LOSSES:
                for repeat in range(traffic.repeats):
                    start = rng.uniform(0, END - length)
                    count = int(length / interval * 2) + 2
                    draw = rng.uniform(-1, 0 if repeat % 2 else 1, count)
                    times = start + np.cumsum(interval * (1 + jitter / 100 * draw))
                    times = times[times < start + length] + rng.uniform(0, 0.05)
                    times = times[rng.uniform(size=len(times)) >= loss / 100]
                    if repeat % 10 == 9 and interval >= 60:
                        extra = [times + rng.uniform(0.2, 3, len(times)) for _ in range(rng.integers(1, 4))]
                        times = np.concatenate([times, *extra])
                    sent = traffic.sizes(len(times), rng.integers(180, 1_500), rng.choice([0.02, 0.15, 0.35]))
                    tasked = rng.uniform(size=len(times)) < 0.01  # sometimes the beacon sends data
                    sent[tasked] *= rng.integers(5, 200, len(times))[tasked]
                    port = int(rng.choice([443, 443, 443, 80, 8443]))
                    traffic.add("beacon", rng.choice(traffic.hosts + traffic.servers), traffic.address(), times, sent, port,
                                cell=(jitter, name, loss))


def odd_beacons(traffic):
    """Beacons outside the grid: they change their interval, alternate between two, run in office hours only, have other
    sessions of the pair between them, share one controller among several victims, or hide behind an address many talk to."""
    rng = traffic.rng
    for _ in range(traffic.repeats * 2):
        middle = rng.uniform(4, 10) * DAY
        times = np.concatenate([traffic.clock(60, 0.1, middle - DAY, middle), traffic.clock(HOUR, 0.1, middle, middle + 9 * DAY)])
        traffic.add("beacon: changed interval", rng.choice(traffic.hosts), traffic.address(), times, traffic.sizes(len(times), 400, 0.1))
        gaps = np.tile([240.0, 1_020.0], 700) * (1 + 0.1 * rng.uniform(-1, 1, 1_400))
        times = rng.uniform(0, 8 * DAY) + np.cumsum(gaps)
        traffic.add("beacon: two intervals in turn", rng.choice(traffic.hosts), traffic.address(), times, traffic.sizes(len(times), 400, 0.1))
        times = traffic.office_hours(traffic.clock(900, 0.2))
        traffic.add("beacon: host off outside office hours", rng.choice(traffic.hosts), traffic.address(), times, traffic.sizes(len(times), 400, 0.1))
        times = traffic.clock(600, 0.2)
        times = np.concatenate([times, rng.uniform(0, END, len(times) // 4)])
        traffic.add("beacon: a fifth of the sessions at random", rng.choice(traffic.hosts), traffic.address(), times, traffic.sizes(len(times), 400, 0.3))
        front = traffic.address()
        times = traffic.clock(600, 0.2)
        traffic.add("beacon: behind a front of 60 hosts", rng.choice(traffic.hosts[200:]), front, times, traffic.sizes(len(times), 400, 0.3))
        for host in rng.choice(traffic.hosts[:200], 59, replace=False):
            times = traffic.office_hours(rng.uniform(0, END, 60))
            traffic.add("visits to a front that hides a beacon", host, front, times, traffic.sizes(len(times), 1_500, 1.2))
        controller = traffic.address()
        for victim in rng.choice(traffic.hosts, 6, replace=False):
            times = traffic.clock(600, 0.2, start=5 * DAY)
            traffic.add("beacon: one controller, six victims", victim, controller, times, traffic.sizes(len(times), 400, 0.1))


def ntp(traffic):
    servers = [traffic.address() for _ in range(4)]
    for host in traffic.hosts + traffic.servers:
        for server in traffic.rng.choice(servers, 2, replace=False):
            traffic.add("NTP, four servers", host, server, traffic.clock(2_048, 0.01), 76, 123, "UDP")
    for host in traffic.hosts[:12]:  # appliances that each use a different server of the public pool
        traffic.add("NTP, a pool server of its own", host, traffic.address(), traffic.clock(1_024, 0.02), 76, 123, "UDP")


def updates(traffic):
    fronts = [traffic.address() for _ in range(3)]
    for host in traffic.hosts:
        times = traffic.clock(5 * HOUR, 0.15)
        traffic.add("update check, all hosts", host, traffic.rng.choice(fronts), times, traffic.sizes(len(times), 1_300, 0.2))
    vendor = traffic.address()
    for host in traffic.rng.choice(traffic.hosts, 60, replace=False):
        times = traffic.clock(HOUR, 0.05)
        traffic.add("update check, a fifth of the hosts", host, vendor, times, traffic.sizes(len(times), 900, 0.05))
    for host in traffic.rng.choice(traffic.hosts, 4, replace=False):
        times = traffic.clock(DAY, 0.02)
        traffic.add("licence check, one host", host, traffic.address(), times, traffic.sizes(len(times), 700, 0.05))


def keep_alives(traffic):
    # Apple's, by which the service is recognised.
    pool = [f"17.57.144.{number + 1}" for number in range(12)]
    for host in traffic.hosts[:150]:
        times = traffic.clock(1_680, 0.1)
        traffic.add("push keep-alive", host, traffic.rng.choice(pool), times, traffic.sizes(len(times), 180, 0.1),
                    int(traffic.rng.choice([5223, 5228])))
    chat = [traffic.address() for _ in range(6)]
    for host in traffic.hosts[100:220]:
        times = traffic.office_hours(traffic.clock(300, 0.1))
        traffic.add("chat keep-alive, office hours", host, traffic.rng.choice(chat), times, traffic.sizes(len(times), 350, 0.3))


def monitoring(traffic):
    collectors = [traffic.address() for _ in range(2)]
    for server in traffic.servers:
        times = traffic.clock(300, 0.02)
        traffic.add("monitoring agent, all servers", server, traffic.rng.choice(collectors), times, traffic.sizes(len(times), 4_000, 0.3))
    for host in traffic.rng.choice(traffic.hosts, 3, replace=False):
        times = traffic.clock(600, 0.01)
        traffic.add("sensor, one host", host, traffic.address(), times, traffic.sizes(len(times), 420, 0.03))


def mail(traffic):
    fronts = [traffic.address() for _ in range(2)]
    for host in traffic.hosts[:80]:
        times = traffic.office_hours(traffic.clock(600, 0.03))
        traffic.add("mail polling, office hours", host, traffic.rng.choice(fronts), times, traffic.sizes(len(times), 800, 0.5), 993)


def backups(traffic):
    for server in traffic.servers[:8]:
        nights = np.arange(DAYS) * DAY + 2 * HOUR + traffic.rng.uniform(0, 1_200, DAYS)
        times = np.concatenate([night + traffic.rng.uniform(0, 5_400, 12) for night in nights])
        traffic.add("nightly backup", server, traffic.address(), times, traffic.sizes(len(times), 300_000_000, 0.8))


def people(traffic):
    """Visits in office hours: a person opens a site several times a day, pages at log-normal pauses, and each page makes several connections."""
    popular = [traffic.address() for _ in range(150)]
    weights = 1 / np.arange(1, 151)
    for host in traffic.hosts:
        visited = list(traffic.rng.choice(popular, 14, replace=False, p=weights / weights.sum()))
        visited += [traffic.address() for _ in range(5)]  # sites that only this person visits
        for site in visited:
            visits = traffic.rng.uniform(0, END, int(traffic.rng.integers(10, 160)))
            visits = traffic.office_hours(visits)
            times = []
            for visit in visits:
                pages = visit + np.cumsum(np.exp(np.log(40) + 1.2 * traffic.rng.standard_normal(traffic.rng.integers(1, 9))))
                times += [page + traffic.rng.uniform(0, 3) for page in pages for _ in range(traffic.rng.integers(1, 4))]
            traffic.add("browsing", host, site, times, traffic.sizes(len(times), 1_500, 1.2))


def services(traffic):
    """Traffic that is not periodic but continues at night: interfaces called at random, and bursts from delivery networks."""
    for server in traffic.servers:
        for _ in range(4):
            gaps = traffic.rng.exponential(traffic.rng.choice([120, 900, 5_000]), 3_000)
            times = traffic.rng.uniform(0, 3 * DAY) + np.cumsum(gaps)
            traffic.add("interface called at random", server, traffic.address(), times, traffic.sizes(len(times), 900, 0.3))
    edges = [traffic.address() for _ in range(40)]
    for host in traffic.hosts:
        for edge in traffic.rng.choice(edges, 3, replace=False):
            bursts = traffic.office_hours(traffic.rng.uniform(0, END, 40))
            times = np.concatenate([burst + traffic.rng.exponential(1.5, 25).cumsum() for burst in bursts] or [[]])
            traffic.add("delivery network bursts", host, edge, times, traffic.sizes(len(times), 2_000, 1.0))
    for host in traffic.hosts[::6]:  # sessions in every second: a large download in many parts
        start = traffic.rng.uniform(0, END - HOUR)
        times = start + np.cumsum(traffic.rng.exponential(0.25, 4_000))
        traffic.add("download in parts", host, traffic.address(), times, traffic.sizes(len(times), 1_200, 0.5))


BENIGN = [ntp, updates, keep_alives, monitoring, mail, backups, people, services]


def generate(seed, repeats):
    traffic = Traffic(seed, repeats)
    beacons(traffic)
    odd_beacons(traffic)
    for kind in BENIGN:
        kind(traffic)
    return traffic.pairs
