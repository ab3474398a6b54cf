"""What AutoGen's protocol has no word for: giving up, parts of an answer. Towards its workers and by its host nothing of it is sent."""

import json

from support.process import SLOW
from support.scenario import scenario


def ask(t, host, agent, type, /, **body):
    call = t.troupe("call", agent, type, json.dumps(body), "--host", host)
    t.equal(call.wait(), 0, f"the status of the call of {type}")
    return json.loads("\n".join(call.out))


def give_up(t, host, agent, seconds):
    reply = ask(t, host, "lua/a", "GiveUp", to=agent, type="Slow", body={"seconds": seconds}, after=0.2)
    t.equal(reply["code"], "cancelled", "what the caller caught")
    t.check(reply["seconds"] < 0.1 * SLOW, f"it heard after {reply['seconds']} s")


@scenario("calls: a call to a Python agent that is given up is `cancelled` at once, its late answer goes to nobody")
def cancel_python(t):
    host = t.host()
    python = t.agent(host, "python")
    lua = t.worker(host, "caller.lua", "lua")
    give_up(t, host, "python/a", 1)
    python.hear("slow")
    t.settle(1.5)  # the late answer comes
    answer = ask(t, host, "python/a", "Ask", text="and now?")
    t.equal(answer["text"], "and now?, says python", "the answer of a later call")
    t.check(not any("answer.unknown" in line for line in lua.err), f"the worker wonders: {lua.err}")
    reply = t.client(host).call("lua/a", "Slow", seconds=0.1)
    t.equal(reply.body.get("text"), "at last", "what Python has of an agent that gives parts")
    t.check("read" not in lua.out, "somebody read parts")


@scenario("calls: a stream from a Python agent is its answer alone")
def stream_python(t):
    host = t.host()
    t.agent(host, "python")
    t.worker(host, "caller.lua", "lua")
    reply = ask(t, host, "lua/a", "Read", to="python/a", type="Ask", body={"text": "hello"})
    t.equal(reply, {"parts": 0, "text": "hello, says python"}, "what was read")


@scenario("calls: by AutoGen's host a stream is its answer alone, and what is given up goes on until its deadline")
def through_autogen(t):
    host = t.autogen_host()
    lua = t.worker(host, "caller.lua", "lua")
    other = t.worker(host, "caller.lua", "other")
    reply = ask(t, host, "lua/a", "Read", to="other/a", type="Slow", body={"seconds": 0.1})
    t.equal(reply, {"parts": 0, "text": "at last"}, "what was read")
    give_up(t, host, "other/b", 1)
    t.settle(1.5)
    t.equal(other.out.count("closed"), 2, "how many turns came to their end")
    call = t.troupe("call", "other/c", "Slow", '{"seconds": 60}', "--timeout", "1", "--host", host)
    t.equal(call.wait(), 1, "the status of a call past its deadline")
    t.eventually(lambda: other.out.count("closed") == 3, "its callee ends at the deadline by itself", 3)
    t.check(not any("answer.unknown" in line for line in lua.err), f"the worker wonders: {lua.err}")
