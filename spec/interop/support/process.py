"""Real processes: started, listened to, and killed at the end of their scenario."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time

from .environment import TOP

PROGRAM = os.path.join(TOP, os.environ.get("TROUPE", "build/troupe"))
WRAP = os.environ.get("TROUPE_WRAP", "").split()  # words before it: valgrind with its options
SLOW = float(os.environ.get("TROUPE_SLOW", "1"))  # time-outs are stretched by this: sanitizers, valgrind

COMPLAINT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|:\d+: runtime error: |^==\d+== ", re.MULTILINE)
SETPRIV = shutil.which("setpriv")


class Failure(Exception):
    """What a scenario found wrong."""


def environ(**extra: str) -> dict[str, str]:
    env = dict(os.environ)
    for name in list(env):
        # gRPC would send even loopback through a proxy; a make below us is not part of the make above us.
        if name.lower().endswith("_proxy") or name in (
            "TROUPE_HOST",
            "MAKEFLAGS",
            "MAKELEVEL",
            "MFLAGS",
            "PYTHONPATH",
            "PYTHONHOME",
            "PYTHONSTARTUP",
        ):
            del env[name]
    env.update(LC_ALL="C.UTF-8", PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1", GRPC_VERBOSITY="ERROR")
    env.update(extra)
    return env


class Process:
    """One child with its own process group. `out` and `err` are the lines written so far."""

    def __init__(self, name: str, command: list[str], folder: str, env: dict[str, str] | None = None):
        self.name, self.folder = name, folder
        self.out: list[str] = []
        self.err: list[str] = []
        self._seen = 0
        self._open = 2
        self._changed = threading.Condition()
        # The kernel kills it too, should this process die before it can.
        guard = [SETPRIV, "--pdeathsig", "KILL", "--"] if SETPRIV else []
        self._child = subprocess.Popen(
            guard + command,
            cwd=folder,
            env=env or environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            bufsize=1,
            start_new_session=True,
        )
        self.pid = self._child.pid
        for stream, lines in ((self._child.stdout, self.out), (self._child.stderr, self.err)):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    def _read(self, stream, lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def _until(self, condition, seconds: float):
        """condition() → something true, or None when the time is over or all output has come without it."""
        end = time.monotonic() + seconds * SLOW
        with self._changed:
            while True:
                found = condition()
                left = end - time.monotonic()
                if found or left <= 0 or self._open == 0:
                    return found
                self._changed.wait(min(left, 0.5))

    @property
    def status(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._child.poll()

    def running(self) -> bool:
        return self.status is None

    def wait_line(self, pattern: str, seconds: float = 10) -> re.Match:
        """The next line of standard output that matches (from its start); goes on behind it next time."""

        def look():
            while self._seen < len(self.out):
                self._seen += 1
                match = re.match(pattern, self.out[self._seen - 1])
                if match:
                    return match
            return None

        match = self._until(look, seconds)
        if not match:
            raise Failure(f"{self.name}: no line matching {pattern!r} " + self._end_or_time(seconds))
        return match

    def _end_or_time(self, seconds: float) -> str:
        if self._open == 0:  # it has closed its output: its end is near
            try:
                self._child.wait(1)
            except subprocess.TimeoutExpired:
                return "and it has closed its output"
        return f"within {seconds * SLOW:g} s" if self.running() else f"and it has ended with status {self.status}"

    def wait(self, seconds: float = 10) -> int:
        """Waits for its end and all of its output; its status."""
        try:
            self._child.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name}: did not end within {seconds * SLOW:g} s") from None
        self._until(lambda: self._open == 0, 5)
        return self._child.returncode

    def write(self, text: str) -> None:
        try:
            self._child.stdin.write(text)
            self._child.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise Failure(f"{self.name}: {self._end_or_time(0)}: nobody reads its standard input") from None

    def close_stdin(self) -> None:
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass

    def send_signal(self, number: signal.Signals) -> None:
        if self.running():
            self._child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, for it and whatever it has started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self.close_stdin()

    def complaint(self) -> str | None:
        """Something in its log that is wrong whatever the scenario looked at."""
        text = "\n".join(self.err)
        return f"{self.name}: a sanitizer or valgrind reported an error" if COMPLAINT.search(text) else None

    def dump(self) -> str:
        state = "running" if self.running() else f"ended with status {self.status}"
        lines = [f"---- {self.name} (pid {self.pid}, {state})"]
        for stream, written in (("out", self.out), ("err", self.err)):
            if len(written) > 80:
                lines += [f"  {stream}: … {len(written) - 80} lines …"]
            lines += [f"  {stream}: {line[:300]}" for line in written[-80:]]
        return "\n".join(lines)


class Troupe(Process):
    """The program under test."""

    def __init__(self, args: list[str], folder: str):
        super().__init__(" ".join(["troupe", *args])[:100], WRAP + [PROGRAM, *args], folder)

    def stop(self) -> str | None:
        """SIGTERM: it has to end, by itself and with status 0."""
        if self.running():
            self.send_signal(signal.SIGTERM)
        try:
            status = self.wait(10)
        except Failure as failure:
            return str(failure)
        return None if status == 0 else f"{self.name}: ended with status {status} on SIGTERM"
