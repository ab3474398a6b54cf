"""Hosts under test, as processes, and runs of the load generator on them."""
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
LOAD = "build/bench/load"
START_TIMEOUT = 20
RUN_TIMEOUT = 300


class Failed(Exception):
    """There is no going on; the text says why."""


def autogen_command() -> str:
    """AutoGen's Python host in the virtual environment of `make interop`, which is made if it is missing."""
    sys.path.insert(0, os.path.join(TOP, "spec", "interop"))
    from support import environment

    try:
        environment.prepare()
    except environment.Failed as problem:
        raise Failed(f"no AutoGen to compare with (--peer none does without): {problem}") from problem
    return f"{os.path.relpath(environment.PYTHON, TOP)} bench/autogen_host.py"


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
    """A host of the protocol: started by a command that prints `listening ADDRESS`, ended by SIGTERM."""

    def __init__(self, name: str, command: str, cpus=None):
        self.name, self.command, self.cpus = name, command, cpus
        self.process = self.address = self.output = None

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
                if line.startswith("listening "):
                    return line.split()[1]
            time.sleep(0.01)
        raise Failed(f"{self.command}: it did not say where it listens:\n{self.said()[-2000:]}")

    def stop(self) -> None:
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.output.close()

    def __enter__(self) -> "Host":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()


def drive(host: Host, words: list[str], on: Host | None = None) -> dict:
    """Runs the generator, on a host that runs or (without `on`) one that it starts itself; returns what it found."""
    where = ["--host", on.address, "--pid", str(on.process.pid)] if on else []
    try:
        done = subprocess.run(
            [LOAD, *where, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=RUN_TIMEOUT,
            preexec_fn=lambda: prepare_child(host.cpus and host.cpus["load"]))
    except subprocess.TimeoutExpired:
        return {"errors": 1, "error": f"the generator did not end in {RUN_TIMEOUT} s"}
    if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
        return {"errors": 1, "error": f"the generator ended with status {done.returncode}"}
    return json.loads(done.stdout)
