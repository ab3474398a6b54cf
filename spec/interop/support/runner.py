"""Runs scenarios one after the other, each under its hard time-out, and leaves no child behind."""

import os
import shutil
import signal
import sys
import time
import traceback

from .environment import TOP
from .process import SLOW, Failure
from .scenario import Scenario, Stage


class TimeUp(Failure):
    pass


def attempt(scenario: Scenario, stage: Stage) -> str | None:
    """None, or what went wrong."""

    def time_up(_number, _frame):
        raise TimeUp(f"the time-out of {scenario.seconds * SLOW:g} s is over")

    signal.signal(signal.SIGALRM, time_up)
    signal.setitimer(signal.ITIMER_REAL, scenario.seconds * SLOW)
    try:
        scenario.body(stage)
        stage.finish()
    except Failure as failure:
        at = failure.__traceback__
        line = None
        while at:  # the last line of the scenario itself
            if at.tb_frame.f_code.co_filename == scenario.body.__code__.co_filename:
                line = at.tb_lineno
            at = at.tb_next
        where = f"{os.path.relpath(scenario.body.__code__.co_filename, TOP)}:{line}: " if line else ""
        return where + str(failure)
    except Exception:  # a mistake of the scenario itself
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def run(scenarios: list[Scenario], reference: bool, keep: bool) -> tuple[int, int, int]:
    passed = failed = skipped = 0

    def line(word: str, seconds: float, text: str) -> None:
        print(f"{word:<4} {seconds:5.1f} s  {text}", flush=True)

    for scenario in scenarios:
        if reference and scenario.autogen is None:
            skipped += 1
            line("skip", 0, f"{scenario.name} (needs troupe)")
            continue
        stage = Stage(scenario.name, reference)
        started = time.monotonic()
        try:
            try:
                problem = attempt(scenario, stage)
            finally:
                stage.release()
            seconds = time.monotonic() - started
            known = reference and scenario.autogen == "fails"
            if known and problem:
                passed += 1
                line("hole", seconds, f"{scenario.name}\n       as known of this host: {problem.splitlines()[0]}")
            elif known:
                failed += 1
                line("FAIL", seconds, f"{scenario.name}\n  AutoGen's host was expected to fail this one, and passed")
            elif problem:
                failed += 1
                line("FAIL", seconds, f"{scenario.name}\n  {problem}")
                print(stage.dump(), flush=True)
            else:
                passed += 1
                line("ok", seconds, scenario.name)
            if keep or (problem and not known):
                print(f"       kept: {os.path.relpath(stage.keep(), TOP)}", flush=True)
            else:
                shutil.rmtree(stage.folder, ignore_errors=True)
        except KeyboardInterrupt:
            print("interop: interrupted", file=sys.stderr)
            return passed, failed + 1, skipped
    return passed, failed, skipped
