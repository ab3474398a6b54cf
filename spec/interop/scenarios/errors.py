"""Errors at once where AutoGen's own host leaves the caller waiting for ever."""

import signal
import time

from support.process import SLOW
from support.scenario import at_once, scenario


@scenario("errors: a request for an agent type that nobody has fails at once", autogen="fails")
def unknown_type(t):
    host = t.host()
    client = t.client(host)
    reply = client.call("nobody/a", "Ask", text="anybody?")
    t.equal(reply.exception, "Exception", "what Python raises")
    t.check("not_found" in reply.error and "nobody" in reply.error, f"its text is {reply.error!r}")
    at_once(reply, "the error")


@scenario("errors: a Lua agent's call to an agent type that nobody has is `not_found`")
def unknown_type_from_lua(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    reply = t.client(host).call("lua/a", "Forward", to="nobody/b", type="Ask", text="anybody?")
    t.equal((reply.type, reply.body.get("code")), ("Failed", "not_found"), "what Lua caught")
    at_once(reply, "the error")


def killed(t, client, agent, target, runs):
    """target, who is asked, dies: the caller has an error at once, and so have all that ask it later."""
    ticket = client.start_call(agent, "Slow", seconds=60)
    runs()
    target.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    reply = client.finish(ticket, 5)
    t.check(time.monotonic() - killed_at < 2 * SLOW, "the error came late")
    t.equal(reply.exception, "Exception", "what Python raises")
    t.check(reply.error, "the error has no text")
    reply = client.call(agent, "Ask", text="are you there?")
    t.check(reply.error is not None, f"the dead agent answered: {reply}")
    at_once(reply, "the error of the next request")
    t.eventually(lambda: client.subscriptions() == [], "its subscriptions are gone")


@scenario(
    "errors: a Python worker killed with SIGKILL while it is asked: the caller has an error at once", autogen="fails"
)
def python_worker_killed(t):
    host = t.host()
    python = t.agent(host, "python", "notes")
    killed(t, t.client(host), "python/a", python, lambda: python.hear("slow"))


@scenario("errors: a Lua worker killed with SIGKILL while it is asked: the caller has an error at once")
def lua_worker_killed(t):
    host = t.host()
    lua = t.worker(host, "twin.lua", "lua", "notes")
    killed(t, t.client(host), "lua/a", lua, lambda: lua.wait_line("slow\t"))


@scenario("errors: a Python worker killed while `troupe call` waits for it: status 1 at once")
def killed_under_troupe_call(t):
    host = t.host()
    python = t.agent(host, "python")
    call = t.troupe("call", "python/a", "Slow", '{"seconds": 60}', "--host", host)
    python.hear("slow")
    python.send_signal(signal.SIGKILL)
    t.equal(call.wait(2), 1, "its status")
    t.check(len(call.err) == 1 and call.err[0].startswith("troupe: "), f"what it said: {call.err}")


@scenario("errors: the caller goes away while its request is open, and the answer harms nobody", autogen="passes")
def caller_gone(t):
    host = t.host()
    python = t.agent(host, "python")
    leaving, staying = t.client(host), t.client(host)
    leaving.start_call("python/a", "Slow", seconds=1)
    python.hear("slow")
    leaving.kill()
    reply = staying.call("python/a", "Slow", seconds=1.5)
    t.equal((reply.error, reply.type), (None, "Answer"), "the other caller's answer")
