"""Peers of the runtime, on the work of bench/runtime's rows: each is a script beside this file that takes a row's name and prints a line
of JSON, or nothing where it has no such row."""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def run(command: list[str], row: str) -> dict | None:
    done = subprocess.run([*command, row], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]}
    return json.loads(done.stdout) if done.stdout.strip() else None


def erlang() -> list:
    if not shutil.which("escript"):
        print("bench: no Erlang/OTP to compare with (apt-get install erlang-base)", file=sys.stderr)
        return []
    command = ["escript", os.path.join(HERE, "peers", "turns.escript")]
    return [("Erlang/OTP", lambda row: run(command, row))]


def autogen() -> list:
    sys.path.insert(0, os.path.join(HERE, "..", "spec", "interop"))
    from support import environment

    try:
        environment.prepare()
    except environment.Failed as problem:
        print(f"bench: no AutoGen to compare with: {problem}", file=sys.stderr)
        return []
    command = [str(environment.PYTHON), os.path.join(HERE, "peers", "turns_autogen.py")]
    return [("AutoGen", lambda row: run(command, row))]


def columns() -> list:
    return erlang() + autogen()
