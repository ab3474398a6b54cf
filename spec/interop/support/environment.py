"""The virtual environment with AutoGen in it: build/interop/venv, made once, made anew when the pins change."""

import fcntl
import os
import shutil
import subprocess
import sys
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.path.join(TOP, "build", "interop")
VENV = os.path.join(BUILD, "venv")
PYTHON = os.path.join(VENV, "bin", "python")
PINS = os.path.join(TOP, "spec", "interop", "requirements.txt")
STAMP = os.path.join(VENV, "complete")  # written last: what the environment was made from


class Failed(Exception):
    pass


def wanted() -> str:
    with open(PINS, encoding="utf-8") as file:
        return f"Python {sys.version}\n{file.read()}"


def complete() -> bool:
    try:
        with open(STAMP, encoding="utf-8") as file:
            return file.read() == wanted() and os.access(PYTHON, os.X_OK)
    except OSError:
        return False


def step(command: list[str], log, **where) -> None:
    """Runs it; its output goes to the log, and what it collects to the terminal. where: cwd, env."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        **where,
    ) as process:
        for line in process.stdout:
            log.write(line)
            if line.startswith("Collecting "):
                print("  " + line.split()[1], flush=True)
    if process.returncode != 0:
        log.flush()
        with open(log.name, encoding="utf-8") as file:
            tail = "".join(file.readlines()[-30:])
        raise Failed(
            f"{' '.join(command[:5])} … ended with status {process.returncode}:\n{tail}"
            f"(all of it is in {os.path.relpath(log.name, TOP)})"
        )


def prepare() -> None:
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once make one environment
        if complete():
            return
        print("interop: installing AutoGen 0.7.5 into build/interop/venv (some seconds to a minute)", flush=True)
        started = time.monotonic()
        shutil.rmtree(VENV, ignore_errors=True)
        with open(os.path.join(BUILD, "venv.log"), "w", encoding="utf-8") as log:
            step([sys.executable, "-m", "venv", VENV], log)
            step(
                [
                    PYTHON,
                    "-m",
                    "pip",
                    "install",
                    "--disable-pip-version-check",
                    "--no-input",
                    "--progress-bar",
                    "off",
                    "--only-binary",
                    ":all:",
                    "-r",
                    PINS,
                ],
                log,
            )
            step([PYTHON, "-c", "import autogen_core, autogen_ext.runtimes.grpc, grpc"], log)
        with open(STAMP, "w", encoding="utf-8") as file:
            file.write(wanted())
        print(f"interop: installed in {time.monotonic() - started:.0f} s", flush=True)
