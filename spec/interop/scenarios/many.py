"""Several callers with the same request ids open at once: each gets its own answers."""
from support.scenario import scenario

CALLS = 200


def two_callers(t, host, agent_type):
    callers = [t.peer("many.py", host, name, str(CALLS), agent_type) for name in ("first", "second")]
    for caller in callers:
        caller.hear("ready", 20)
    for caller in callers:
        caller.tell(go=True)
    for caller in callers:
        result = caller.hear("result", 30)
        t.equal((result["first_id"], result["last_id"]), ("1", str(CALLS)), f"the request ids of {caller.name}")
        t.equal((result["right"], result["wrong"]), (CALLS, []), f"the answers to {caller.name}")


@scenario("many: two Python workers ask one Lua agent at once, 200 calls each under the same ids")
def ask_lua(t):
    host = t.host()
    t.worker(host, "twin.lua", "squares")
    two_callers(t, host, "squares")


@scenario("many: two Python workers ask one Python agent at once, 200 calls each under the same ids", autogen="fails")
def ask_python(t):
    host = t.host()
    t.agent(host, "squares")
    two_callers(t, host, "squares")
