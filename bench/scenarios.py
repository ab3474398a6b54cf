"""What is measured, and what of it is shown. To add a scenario, add a line to scenarios()."""
from dataclasses import dataclass, field


@dataclass
class Figure:
    """One figure of a result."""

    label: str
    key: str  # in the generator's output
    more_is_better: bool = False


@dataclass
class Scenario:
    name: str
    mode: str
    extra: list[str] = field(default_factory=list)
    fresh: bool = False  # on a process of its own
    alone: bool = False  # on the host that is measured, not on its peers: they would take minutes

    @property
    def words(self) -> list[str]:
        return [self.mode, *self.extra]

    @property
    def figures(self) -> list[Figure]:
        return FIGURES[self.mode]


TIMES = [Figure("p50, us", "p50_us"), Figure("p99, us", "p99_us")]
FIGURES = {
    "requests": [Figure("host CPU, us a request", "host_cpu_us"), Figure("requests/s", "rate", True), *TIMES],
    "events": [Figure("host CPU, us a delivery", "host_cpu_us"), Figure("deliveries/s", "rate", True), *TIMES],
    "idle": [Figure("memory, KiB a worker", "rss_each")],
    "first-answer": [Figure("ms", "answer_ms")],
}


def requests(outstanding: int, size: int = 64, requesters: int = 1, responders: int = 1) -> Scenario:
    many = f", {requesters} requesters, {responders} responders" if requesters > 1 else ""
    text = "64 B" if size == 64 else f"{size // 1024} KiB"
    return Scenario(f"requests, {outstanding} outstanding, {text}{many}", "requests", [
        "--outstanding", str(outstanding), "--size", str(size),
        "--requesters", str(requesters), "--responders", str(responders)])


def beside(idle: int) -> Scenario:
    return Scenario(f"requests, 64 outstanding, 64 B, beside {idle} idle workers", "requests",
                    ["--outstanding", "64", "--beside", str(idle), "--timeout", "60"], fresh=True, alone=True)


def events(subscribers: int) -> Scenario:
    return Scenario(f"events, 1 to {subscribers}, 64 B, 64 in flight", "events", ["--subscribers", str(subscribers)])


def scenarios(idle: int) -> list[Scenario]:
    return [
        *(requests(n) for n in (1, 64, 1024)),
        *(requests(n, requesters=16, responders=4) for n in (64, 1024)),
        *(requests(n, size=1024) for n in (1, 64, 1024)),
        *(events(n) for n in (1, 10, 100)),
        *(beside(n) for n in (10, 10000)),
        Scenario(f"idle workers, {idle}", "idle", ["--connections", str(idle)], fresh=True),
        Scenario("start to first answer", "first-answer"),
    ]


# For --self-test: name, scenario, what the generator is told to do, whether it must then fail.
FAULTS = [
    (f"{scenario.mode}, {harm}", scenario, ["--fault", harm, "--timeout", "2"], harm != "none")
    for scenario, harms in (
        (requests(64, requesters=4, responders=2), ("none", "lose", "double", "corrupt", "cross")),
        (events(10), ("none", "lose", "double", "corrupt", "reorder", "cross")),
    )
    for harm in harms
]
