"""troupe's workers and verbs on AutoGen's own Python host."""
import signal
import time

from support.process import SLOW, Failure
from support.scenario import scenario

from .mixed import notes, program_verbs, wait_for_type


@scenario("autogen's host: a Python and a Lua agent call each other")
def requests(t):
    host = t.autogen_host()
    worker = t.start_worker(host, "twin.lua", "lua")
    t.equal(worker.wait_line("joined (.*)$")[1], f"{host}: lua", "the line that says it joined")
    t.agent(host, "python")
    client = t.client(host)
    for agent, to, sender in (("python/a", "lua/b", "python/a"), ("lua/a", "python/b", "lua/a")):
        reply = client.call(agent, "Forward", to=to, type="Ask", text="hello ü")
        expected = {"text": f"hello ü, says {to.split('/')[0]}", "by": to, "sender": sender}
        t.equal((reply.error, reply.type, reply.body), (None, "Answer", expected), f"{agent} asks {to}")
    reply = client.call("lua/a", "Ask", text="hello")
    t.equal(reply.body, {"text": "hello, says lua", "by": "lua/a", "sender": ""}, "a Python client asks Lua")
    reply = client.call("lua/a", "Fail", text="boom")
    t.check(reply.error and reply.error.startswith("handler_error: ") and "boom" in reply.error, f"it is {reply}")
    reply = client.call("lua/a", "Forward", to="python/b", type="Fail", text="bang")
    t.equal((reply.type, reply.body), ("Failed", {"code": "handler_error", "text": "bang"}), "what Lua caught")


@scenario("autogen's host: events between Python, Lua and `troupe publish`, once each")
def events(t):
    host = t.autogen_host()
    lua, python = t.worker(host, "twin.lua", "lua", "notes"), t.agent(host, "python", "notes")
    client = t.client(host)
    t.equal(client.subscriptions(), [("prefix", "lua:", "lua"), ("prefix", "python:", "python"),
                                     ("type", "notes", "lua"), ("type", "notes", "python")], "GetSubscriptions")
    client.call("python/here", "Announce", topic="notes", text="from Python")
    client.call("lua/here", "Announce", topic="notes", text="from Lua")
    publish = t.troupe("publish", "notes/here", "Note", '{"text": "from the shell"}', "--host", host)
    t.equal(publish.wait(), 0, "the status of troupe publish")
    t.eventually(lambda: len(notes(lua)) >= 2 and len(python.said("note")) >= 2, "both hear two events")
    t.settle()
    t.equal(sorted(note[3] for note in notes(lua)), ["from Python", "from the shell"], "what Lua heard")
    t.equal(sorted(note["text"] for note in python.said("note")), ["from Lua", "from the shell"], "what Python heard")
    t.equal([note["sender"] for note in python.said("note", text="from Lua")], ["lua/here"], "whom Python heard")


@scenario("autogen's host: `troupe call`, `publish` and `subscribe`")
def program(t):
    program_verbs(t, t.autogen_host())


@scenario("autogen's host: `--wait TYPE`")
def program_wait(t):
    wait_for_type(t, t.autogen_host())


@scenario("autogen's host: a call to an agent that nobody has ends with `timeout`, for that host never answers")
def call_times_out(t):
    host = t.autogen_host()
    call = t.troupe("call", "nobody/a", "Ask", '{"text": "?"}', "--timeout", "1", "--host", host)
    t.equal(call.wait(5), 1, "its status")
    t.check(len(call.err) == 1 and call.err[0].startswith("troupe: ") and "timeout" in call.err[0],
            f"what it said: {call.err}")


@scenario("autogen's host: a type that is taken: the worker says so and joins once it is free")
def type_taken(t):
    host = t.autogen_host()
    python = t.agent(host, "lua")  # a Python worker under the name that the Lua worker wants
    worker = t.start_worker(host, "twin.lua", "lua")
    t.settle(1.5)
    t.equal(worker.out, [], "its standard output while the type is taken")
    t.check(worker.running(), f"it gave up with status {worker.status}")
    t.check(any("already registered" in line for line in worker.err), f"it does not say why it waits: {worker.err}")
    python.kill()
    worker.wait_line("joined .*: lua$", 20)
    t.equal(t.client(host).call("lua/a", "Ask", text="hello").body,
            {"text": "hello, says lua", "by": "lua/a", "sender": ""}, "its answer")


def until_answered(t, host, agent, seconds=20):
    """Asks until there is an answer. A new client each time: AutoGen's are dead for good once their stream has ended."""
    end = time.monotonic() + seconds * SLOW
    while True:
        client = t.client(host)
        ticket = client.start_call(agent, "Ask", text="back?")
        try:
            reply = client.finish(ticket, 1)
            if reply.error is None:
                t.equal(reply.body["text"], "back?, says lua", "its answer")
                return
        except Failure:
            pass
        client.kill()
        t.check(time.monotonic() < end, f"{agent} did not answer again within {seconds * SLOW:g} s")


def starts_before_host(t, start_host):
    address = t.free_address()
    worker = t.start_worker(address, "twin.lua", "lua", "notes")
    t.settle(2.5)
    t.check(worker.running(), f"it gave up with status {worker.status}")
    t.equal(worker.out, [], "its standard output while there is no host")
    t.check(1 <= len(worker.err) <= 3, f"it should say once that it waits, and said {worker.err}")
    start_host(address)
    worker.wait_line("joined .*: lua$", 20)
    t.equal(t.client(address).call("lua/a", "Ask", text="hello").body,
            {"text": "hello, says lua", "by": "lua/a", "sender": ""}, "its answer")


@scenario("reconnect: a Lua worker that is there before AutoGen's host joins it")
def before_autogen_host(t):
    starts_before_host(t, t.autogen_host)


@scenario("reconnect: a Lua worker that is there before troupe's host joins it")
def before_troupe_host(t):
    starts_before_host(t, lambda address: t.host(listen=address))


def survives_restart(t, address, host, start_host):
    worker = t.worker(address, "twin.lua", "lua", "notes")
    until_answered(t, address, "lua/a")
    host.send_signal(signal.SIGKILL)
    host.wait()
    t.settle(1)
    t.check(worker.running(), f"the worker ended with status {worker.status}")
    start_host(address)
    until_answered(t, address, "lua/a")
    client = t.client(address)
    t.equal(client.subscriptions(), [("prefix", "lua:", "lua"), ("type", "notes", "lua")], "its subscriptions")
    client.publish("notes/here", "Note", text="welcome back")
    t.eventually(lambda: notes(worker), "it hears events again")
    t.settle()
    t.equal([note[3] for note in notes(worker)], ["welcome back"], "what it heard")


@scenario("reconnect: AutoGen's host is killed and starts again: a Lua worker joins again", seconds=60)
def autogen_host_restarts(t):
    address = t.autogen_host(t.free_address())
    survives_restart(t, address, t.processes[-1], t.autogen_host)


@scenario("reconnect: troupe's host is killed and starts again: a Lua worker joins again", seconds=60)
def troupe_host_restarts(t):
    address = t.host(listen=t.free_address())
    survives_restart(t, address, t.processes[-1], lambda address: t.host(listen=address))


def survives_cut(t, host):
    """The connection goes, the host stays."""
    tap = t.tap(host)
    worker = t.worker(tap.address, "twin.lua", "lua", "notes")
    tap.cut()
    t.eventually(lambda: tap.connections >= 2, "it dials again")
    until_answered(t, host, "lua/a")
    client = t.client(host)
    t.eventually(lambda: client.subscriptions() == [("prefix", "lua:", "lua"), ("type", "notes", "lua")],
                 "each of its subscriptions is there once")
    client.publish("notes/here", "Note", text="still there?")
    t.eventually(lambda: notes(worker), "it hears events again")
    t.settle()
    t.equal([note[3] for note in notes(worker)], ["still there?"], "what it heard")


@scenario("reconnect: a Lua worker whose connection to AutoGen's host is cut joins again", seconds=60)
def autogen_cut(t):
    survives_cut(t, t.autogen_host())


@scenario("reconnect: a Lua worker whose connection to troupe's host is cut joins again", seconds=60)
def troupe_cut(t):
    survives_cut(t, t.host())
