"""What a scenario is, and what it is given: `t`.

    @scenario("requests: a Python client asks a Lua agent")
    def ask_lua(t):
        host = t.host()                                  # the host under test, on a free port
        t.worker(host, "twin.lua", "lua")                # a troupe worker that has joined it
        reply = t.client(host).call("lua/a", "Ask", text="hello")
        t.equal(reply.body, {…}, "the answer")

`autogen` says what AutoGen's own host makes of it when it stands in for troupe's (`run --reference`):
"passes"; "fails", which it must then do (a hole that is known, and a proof that the scenario can fail); or None where
the scenario needs the troupe program beside the host.
"""

import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from .environment import BUILD, TOP
from .peers import Client, GoPeer, Peer, Raw
from .process import SLOW, Failure, Process, Troupe
from .tap import Tap

AGENTS = os.path.join(TOP, "spec", "interop", "agents")
SCENARIOS: list["Scenario"] = []


@dataclass
class Scenario:
    name: str
    body: Callable[["Stage"], None]
    seconds: float  # the hard time-out
    autogen: str | None


def scenario(name: str, *, seconds: float = 40, autogen: str | None = None):
    def declare(body):
        SCENARIOS.append(Scenario(name, body, seconds, autogen))
        return body

    return declare


def at_once(reply, what: str, seconds: float = 2) -> None:
    """A reply that must not have waited for a deadline."""
    if reply.seconds > seconds * SLOW:
        raise Failure(f"{what}: took {reply.seconds:.2f} s, which is not at once")


def same(one, other) -> bool:
    """Equal, and of the same types all the way down: 1, 1.0 and True are not the same to whoever gets them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


class Stage:
    """The processes and checks of one scenario."""

    def __init__(self, name: str, reference: bool):
        self.reference = reference
        slug = "".join(c if c.isalnum() else "-" for c in name.lower())
        self.folder = os.path.join(BUILD, "run", slug)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.processes: list[Process] = []
        self.taps: list[Tap] = []

    # ---- processes

    def add(self, process):
        self.processes.append(process)
        return process

    def host(self, *args: str, listen: str = "127.0.0.1:0") -> str:
        """Starts the host under test; its address. The process is self.processes[-1]."""
        if self.reference:
            address = self.autogen_host(None if listen.endswith(":0") else listen)
            self.processes[-1].excused = True  # what it logs of the messages meant for troupe is its own affair
            return address
        process = self.troupe("host", "--listen", listen, *args)
        return process.wait_line(r"listening (\S+)$")[1]

    def autogen_host(self, address: str | None = None) -> str:
        """Starts AutoGen's own host."""
        return self.peer("host.py", address or self.free_address()).wait_line(r"listening (\S+)$", 20)[1]

    def troupe(self, *args: str) -> Troupe:
        """Starts the program; it is stopped by SIGTERM when the scenario ends, and must end well."""
        return self.add(Troupe(list(args), self.folder))

    def worker(self, host: str, file: str, *args: str) -> Troupe:
        """A troupe worker with one of agents/, once it has joined."""
        process = self.start_worker(host, file, *args)
        process.wait_line(r"joined \S+: .*$")
        return process

    def start_worker(self, host: str, file: str, *args: str) -> Troupe:
        return self.troupe("worker", "--host", host, os.path.join(AGENTS, file), *(["--", *args] if args else []))

    def peer(self, script: str, *args: str) -> Peer:
        return self.add(Peer(script, list(args), self.folder))

    def agent(self, host: str, type: str, *topics: str, options: tuple[str, ...] = ()) -> Peer:
        """A real AutoGen worker with the agent of peers/agent.py, once it has registered."""
        process = self.peer("agent.py", host, type, *topics, *options)
        process.hear("ready", 20)
        return process

    def client(self, host: str, *options: str) -> Client:
        return self.add(Client(host, list(options), self.folder))

    def raw(self, host: str, *options: str) -> Raw:
        return self.add(Raw(host, list(options), self.folder))

    def go(self, kind: str, host: str, *options: str) -> GoPeer:
        """A worker of spec/peers, "dotnet" or "python"."""
        return self.add(GoPeer(kind, host, list(options), self.folder))

    def tap(self, target: str) -> Tap:
        self.taps.append(Tap(target))
        return self.taps[-1]

    def free_address(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{probe.getsockname()[1]}"

    def path(self, *parts: str) -> str:
        return os.path.join(TOP, *parts)

    # ---- checks

    def equal(self, actual, expected, what: str) -> None:
        if not same(actual, expected):
            raise Failure(f"{what}: expected\n    {expected!r}\n  and got\n    {actual!r}")

    def check(self, condition, what: str) -> None:
        if not condition:
            raise Failure(what)

    def eventually(self, condition, what: str, seconds: float = 10):
        """Waits until condition() gives something true, and returns it."""
        end = time.monotonic() + seconds * SLOW
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > end:
                raise Failure(f"{what}: not within {seconds * SLOW:g} s")
            time.sleep(0.05)

    def settle(self, seconds: float = 0.5) -> None:
        """Time for what must not come."""
        time.sleep(seconds * SLOW)

    # ---- the end

    def finish(self) -> None:
        """After a scenario that passed: no complaint in a log, and troupe's processes end on SIGTERM with status 0."""
        for process in self.processes:
            if isinstance(process, Peer):
                process.kill()
        problems = [p.stop() for p in reversed(self.processes) if isinstance(p, Troupe) and p.running()]
        problems += [p.complaint() for p in self.processes]
        problems = [problem for problem in problems if problem]
        if problems:
            raise Failure("; ".join(problems))

    def release(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        for tap in self.taps:
            tap.close()

    def dump(self) -> str:
        return "\n".join(process.dump() for process in self.processes)

    def keep(self) -> str:
        """Writes what the processes said to files; their folder."""
        for number, process in enumerate(self.processes, 1):
            name = "".join(c if c.isalnum() or c in ".-" else "_" for c in process.name)[:60]
            with open(os.path.join(self.folder, f"{number:02d}-{name}.log"), "w", encoding="utf-8") as file:
                file.write("\n".join(["==== out", *process.out, "==== err", *process.err, ""]))
        return self.folder
