"""What is measured, and what of it is shown. To add a scenario, add a line to scenarios()."""
from dataclasses import dataclass, field, replace


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
    alone: bool = False  # on the host that is measured, not on its peers: they would take minutes, or have no such thing
    secured: bool = False  # with TLS
    against: str = ""  # the scenario that it is shown as a multiple of: the first figure, round by round
    rounds: int = 0  # not in more than so many; 0 = in all

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
FEW, MANY = 10, 1000  # workers beside, or workers and types of each


def requests(outstanding: int, size: int = 64, requesters: int = 1, responders: int = 1) -> Scenario:
    many = f", {requesters} requesters, {responders} responders" if requesters > 1 else ""
    text = "64 B" if size == 64 else f"{size // 1024} KiB"
    return Scenario(f"requests, {outstanding} outstanding, {text}{many}", "requests", [
        "--outstanding", str(outstanding), "--size", str(size),
        "--requesters", str(requesters), "--responders", str(responders)])


def events(subscribers: int) -> Scenario:
    return Scenario(f"events, 1 to {subscribers}, 64 B, 64 in flight", "events", ["--subscribers", str(subscribers)])


def beside(what: Scenario, text: str, *extra: str) -> Scenario:
    """The same on a process of its own, with others there that have no part in it."""
    return replace(what, name=f"{what.name}, beside {text}", extra=[*what.extra, *extra, "--timeout", "60"],
                   fresh=True, alone=True, against=what.name)


def secured(what: Scenario) -> Scenario:
    return replace(what, name=f"{what.name}, TLS 1.3", secured=True, alone=True, against=what.name)


def scenarios(idle: int, workers: int) -> list[Scenario]:
    ask, tell = requests(64), events(10)
    idlers = Scenario(f"idle workers, {idle}", "idle", ["--connections", str(idle)], fresh=True, rounds=3)
    return [
        requests(1),
        *(one for n in (64, 1024) for one in (requests(n), secured(requests(n)))),
        *(requests(n, requesters=16, responders=4) for n in (64, 1024)),
        *(requests(n, size=1024) for n in (1, 64, 1024)),
        events(1),
        *(one for n in (10, 100) for one in (events(n), secured(events(n)))),
        beside(ask, f"{workers} idle workers", "--beside", str(workers)),
        beside(ask, f"{FEW * MANY} types and subscriptions", "--beside", str(FEW), "--types", str(MANY)),
        beside(tell, f"{workers} idle workers", "--beside", str(workers)),
        beside(tell, f"{FEW * MANY} types and subscriptions, half of them matching", "--types", str(MANY)),
        idlers,
        secured(idlers),
        Scenario("start to first answer", "first-answer"),
    ]


# For --self-test: name, scenario, what the generator is told to do, whether it must then fail, with which protocols.
# An event of NATS has no id but its body, so bodies that change places are what was sent.
FAULTS = [
    (f"{scenario.mode}, {harm}", scenario, ["--fault", harm, "--timeout", "2"], harm != "none",
     ("grpc",) if (scenario.mode, harm) == ("events", "cross") else ("grpc", "nats"))
    for scenario, harms in (
        (requests(64, requesters=4, responders=2), ("none", "lose", "double", "corrupt", "cross")),
        (events(10), ("none", "lose", "double", "corrupt", "reorder", "cross")),
    )
    for harm in harms
]
