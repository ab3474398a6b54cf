"""A Lua worker outlives its host and its connection, troupe's and AutoGen's alike."""

import signal
import time

from support.process import SLOW, Failure
from support.scenario import scenario

from .twin import lua_notes


def until_answered(t, host, agent, seconds=20):
    """Asks until there is an answer. A new client each time: AutoGen's are dead once their stream has ended."""
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
    t.equal(
        t.client(address).call("lua/a", "Ask", text="hello").body,
        {"text": "hello, says lua", "by": "lua/a", "sender": ""},
        "its answer",
    )


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
    t.eventually(lambda: lua_notes(worker), "it hears events again")
    t.settle()
    t.equal([note[3] for note in lua_notes(worker)], ["welcome back"], "what it heard")


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
    t.eventually(
        lambda: client.subscriptions() == [("prefix", "lua:", "lua"), ("type", "notes", "lua")],
        "each of its subscriptions is there once",
    )
    client.publish("notes/here", "Note", text="still there?")
    t.eventually(lambda: lua_notes(worker), "it hears events again")
    t.settle()
    t.equal([note[3] for note in lua_notes(worker)], ["still there?"], "what it heard")


@scenario("reconnect: a Lua worker whose connection to AutoGen's host is cut joins again", seconds=60)
def autogen_cut(t):
    survives_cut(t, t.autogen_host())


@scenario("reconnect: a Lua worker whose connection to troupe's host is cut joins again", seconds=60)
def troupe_cut(t):
    survives_cut(t, t.host())


def python_survives(t, address, start_host, seconds):
    host = t.processes[-1]
    python = t.peer("lasting.py", address, "python", "notes")
    python.excused = True  # grpcio's log of the connection that broke
    python.hear("ready", 20)
    lua = t.worker(address, "twin.lua", "lua", "notes")
    python.tell(ask="lua/a")
    t.equal(python.hear("answer")["text"], "hello, says lua", "its answer")
    python.tell(ask="lua/a", wait=30)
    lua.wait_line("slow.*")
    host.send_signal(signal.SIGKILL)
    host.wait()
    t.check("unavailable" in python.hear("error")["text"], "an open request fails")
    python.tell(publish="notes", text="said while it was away")
    start_host(address)
    until_answered(t, address, "lua/a", seconds)
    python.hear("note", seconds, text="said while it was away")
    python.tell(ask="lua/a")
    t.equal(python.hear("answer", seconds)["text"], "hello, says lua", "its answer")
    client = t.client(address)
    reply = client.call("python/a", "Ask", text="and you?")
    t.equal(reply.body["text"], "and you?, says python", "the answer of Python's agent")
    client.publish("notes/here", "Note", text="welcome back")
    python.hear("note", text="welcome back")


@scenario("reconnect: an AutoGen worker with examples/python/reconnect.py outlives troupe's host", seconds=90)
def python_outlives_troupe(t):
    address = t.host(listen=t.free_address())
    python_survives(t, address, lambda address: t.host(listen=address), 20)


@scenario("reconnect: an AutoGen worker with examples/python/reconnect.py outlives AutoGen's host", seconds=90)
def python_outlives_autogen(t):
    address = t.autogen_host(t.free_address())
    python_survives(t, address, t.autogen_host, 20)
