"""Hosts under test, as processes, and runs of the load generator on them."""
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
LOAD = "build/bench/load"
CERTS = "build/bench/certs"
START_TIMEOUT = 20
STOP_TIMEOUT = 5
RUN_TIMEOUT = 300


class Failed(Exception):
    """There is no going on; the text says why."""


@dataclass
class Kind:
    """What is to be known of a program to start and drive it."""

    name: str
    command: str
    protocol: str = "grpc"
    ready: str = "listening "  # before the address, in what it prints
    logs: bool = False  # that line is one of a log, with something before it, on standard error
    secured: str = ""  # the command with TLS; "" = there is none

    @property
    def speaks(self) -> list[str]:
        return ["--protocol", self.protocol]


def troupe(name: str, command: str) -> Kind:
    """This project's host, of this or of another build; with TLS where the command is one of it."""
    words = command.split()
    if words[1:2] != ["host"]:
        return Kind(name, command)
    if not os.path.exists(f"{CERTS}/host.pem"):
        done = subprocess.run([words[0], "cert", "host", "--folder", CERTS], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{words[0]} cert: {done.stderr.strip()}")
    secured = f"{words[0]} host --listen tls:127.0.0.1:0 --tls-cert {CERTS}/host.pem --tls-key {CERTS}/host.key"
    return Kind(name, command, secured=secured)


def autogen() -> Kind:
    """AutoGen's Python host in the virtual environment of `make interop`, which is made if it is missing."""
    sys.path.insert(0, os.path.join(TOP, "spec", "interop"))
    from support import environment

    try:
        environment.prepare()
    except environment.Failed as problem:
        raise Failed(f"no AutoGen to compare with (--peer none does without): {problem}") from problem
    return Kind("autogen", f"{os.path.relpath(environment.PYTHON, TOP)} bench/autogen_host.py")


def nats() -> Kind:
    program = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not program:
        raise Failed("no nats-server to compare with (apt-get install nats-server; --peer autogen does without)")
    return Kind("nats", f"{program} -a 127.0.0.1 -p -1", protocol="nats", ready="client connections on ", logs=True)


def cpus_apart() -> dict[str, set[int]]:
    """A CPU for the generator, the others for the host."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise Failed("--pin needs two CPUs")
    return {"host": set(cpus[:1]), "load": set(cpus[1:2])}


def prepare_child(cpus) -> None:
    """In the child, before its program: all the file descriptors that it may have, and its CPU."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if cpus:
        os.sched_setaffinity(0, cpus)


class Host:
    """A process: started by a command that prints where it listens, ended by SIGTERM."""

    def __init__(self, kind: Kind, cpus=None, secured: bool = False):
        self.kind, self.cpus, self.secured = kind, cpus, secured
        self.command = kind.secured if secured else kind.command
        self.process = self.address = self.output = None
        self.last_words = ""  # what it had printed when it was stopped

    def start(self) -> None:
        self.output = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                self.command.split(), stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
                preexec_fn=lambda: prepare_child(self.cpus and self.cpus["host"]))
        except OSError as problem:
            raise Failed(f"{self.command}: {problem.strerror} (`make` builds troupe)") from problem
        try:
            self.address = self.wait_ready()
        except BaseException:  # an interrupt too: nobody else knows this process yet
            self.stop()
            raise

    def said(self) -> str:
        """What it has printed so far (the start of it), read without moving the offset that it writes at."""
        return os.pread(self.output.fileno(), 65536, 0).decode(errors="replace")

    def wait_ready(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.said().split("\n")[:-1]:
                before, found, address = line.partition(self.kind.ready)
                if found and (not before or self.kind.logs):
                    return address.split()[0].removeprefix("tls:")
            time.sleep(0.005)
        raise Failed(f"{self.command}: it did not say where it listens:\n{self.said()[-2000:]}")

    def stop(self) -> None:
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.last_words = self.said()
        self.output.close()

    def __enter__(self) -> "Host":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def load(self, words: list[str]) -> dict:
        """Runs the generator on it; returns what that found."""
        where = ["--host", self.address, "--pid", str(self.process.pid), *self.kind.speaks]
        if self.secured:
            where += ["--tls", f"{CERTS}/ca.pem"]
        return generate([*where, *words], self.cpus)

    def first_answer(self, words: list[str]) -> dict:
        """The same on one that the generator starts itself."""
        ready = ["--ready", self.kind.ready] if self.kind.logs else []
        return generate([*self.kind.speaks, *ready, *words, "--exec", self.command], self.cpus)


def generate(words: list[str], cpus) -> dict:
    try:
        done = subprocess.run(
            [LOAD, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_TIMEOUT, check=False,
            preexec_fn=lambda: prepare_child(cpus and cpus["load"]))
    except subprocess.TimeoutExpired:
        return {"errors": 1, "error": f"the generator did not end in {RUN_TIMEOUT} s"}
    if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
        return {"errors": 1, "error": f"the generator ended with status {done.returncode}: {done.stderr.strip()[-200:]}"}
    return json.loads(done.stdout)
