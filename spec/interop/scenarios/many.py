"""Several callers with the same request ids open at once: each gets its own answers."""

from support.process import SLOW
from support.scenario import scenario

CALLS = 200


def two_callers(t, host, agent_type):
    """Both callers' results, after a look at their answers."""
    callers = [
        t.peer("many.py", host, name, str(first), str(CALLS), agent_type, str(SLOW))
        for name, first in (("one", 1000), ("two", 2000))
    ]
    for caller in callers:
        caller.hear("ready", 20)
    for caller in callers:
        caller.tell(go=True)
    results = [caller.hear("result", 30) for caller in callers]
    for caller, result in zip(callers, results, strict=True):
        t.equal((result["right"], result["wrong"]), (CALLS, []), f"the answers to {caller.name}")
        t.equal(result["last_id"], CALLS, f"the last request id of {caller.name}")
    return results


@scenario("many: two Python workers ask one Lua agent at once, 200 calls each under the same ids")
def ask_lua(t):
    host = t.host()
    t.worker(host, "twin.lua", "squares")
    results = two_callers(t, host, "squares")
    t.check(
        max(r["sent"] for r in results) < min(r["answered"] for r in results),
        "an answer came before all calls were open: this machine is too slow to tell (TROUPE_SLOW=4 gives it time)",
    )


@scenario("many: two Python workers ask one Python agent at once, 200 calls each under the same ids", autogen="fails")
def ask_python(t):
    host = t.host()
    t.agent(host, "squares")
    two_callers(t, host, "squares")
