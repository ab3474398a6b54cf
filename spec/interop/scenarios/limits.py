"""Messages above the limit of 4 MiB, and compressed ones."""

import json

from support.scenario import at_once, scenario

MEGABYTE = 1_000_000


@scenario("limits: a 5 MB event is refused alone, and its worker's stream lives on", autogen="fails")
def big_event(t):
    host = t.host()
    python = t.agent(host, "python", "notes")
    client = t.client(host)
    client.publish("notes/here", "Note", text="before")
    python.hear("note", text="before")
    client.publish("notes/here", "Note", size=5 * MEGABYTE)
    client.publish("notes/here", "Note", text="after")
    python.hear("note", text="after")
    t.equal([note["length"] for note in python.said("note")], [6, 5], "the lengths of the texts that arrived")
    t.equal(client.call("python/a", "Ask", text="and requests?").error, None, "a request behind it")


@scenario("limits: a 5 MB request is an error at once, and its worker's stream lives on", autogen="fails")
def big_request(t):
    host = t.host()
    t.agent(host, "python")
    client = t.client(host)
    reply = client.call("python/a", "Ask", size=5 * MEGABYTE)
    t.check(reply.error is not None and "too_large" in reply.error, f"it is {reply!r:.200}")
    at_once(reply, "the error")
    t.equal(client.call("python/a", "Ask", text="small").error, None, "the next request")


@scenario("limits: 3.9 MB pass as event, request and reply", autogen="passes")
def almost_big(t):
    host = t.host()
    python = t.agent(host, "python", "notes")
    client = t.client(host)
    size = 3_900_000
    client.publish("notes/here", "Note", size=size)
    t.equal(python.hear("note")["length"], size, "the length of the event's text")
    reply = client.call("python/a", "Ask", size=size)
    t.equal((reply.error, len(reply.body["text"])), (None, size + len(", says python")), "the reply")


@scenario("limits: a Lua agent takes and gives 3.9 MB")
def almost_big_lua(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    size = 3_900_000
    reply = t.client(host).call("lua/a", "Ask", size=size)
    t.equal((reply.error, len(reply.body["text"])), (None, size + len(", says lua")), "the reply")


@scenario("gzip: compressed events, requests and replies of Python workers pass", autogen="passes")
def compressed(t):
    host = t.host()
    tap = t.tap(host)
    python = t.agent(host, "python", "notes", options=("--gzip",))
    client = t.client(tap.address, "--gzip")
    client.publish("notes/here", "Note", size=MEGABYTE)
    t.equal(python.hear("note")["length"], MEGABYTE, "the length of the event's text")
    reply = client.call("python/a", "Ask", size=MEGABYTE)
    t.equal((reply.error, len(reply.body["text"])), (None, MEGABYTE + len(", says python")), "the reply")
    t.check(1000 < tap.sent < MEGABYTE / 10, f"the client sent {tap.sent} bytes: that was not compressed")


@scenario("gzip: a small message that inflates beyond the limit is refused alone", autogen="fails")
def inflated(t):
    host = t.host()
    python = t.agent(host, "python", "notes")
    tap = t.tap(host)
    client = t.client(tap.address, "--gzip")
    client.publish("notes/here", "Note", size=50 * MEGABYTE)
    client.publish("notes/here", "Note", text="after")
    python.hear("note", text="after")
    t.check(tap.sent < MEGABYTE, f"the client sent {tap.sent} bytes: that was not compressed")
    t.equal(len(python.said("note")), 1, "how many events arrived")


@scenario("gzip: compressed requests and events reach a Lua agent")
def compressed_to_lua(t):
    host = t.host()
    lua = t.worker(host, "twin.lua", "lua", "notes")
    client = t.client(host, "--gzip")
    client.publish("notes/here", "Note", text="pressed")
    lua.wait_line("note\t.*\tpressed$")
    reply = client.call("lua/a", "Ask", size=MEGABYTE)
    t.equal((reply.error, len(reply.body["text"])), (None, MEGABYTE + len(", says lua")), "the reply")


def counts(t, process):
    """What `troupe ps` says of it."""
    shown = t.troupe("ps", "--json", "--pid", str(process.pid))
    shown.wait(10)
    return json.loads("\n".join(shown.out))["stats"]


def compressed_both_ways(t, host, lua):
    python = t.agent(host, "python", "news", options=("--gzip",))
    go = t.go("python", host, "--type", "go", "--topic", "news", "--gzip")
    client = t.client(host, "--gzip")
    for agent in ("lua/a", "python/a"):
        reply = client.call(agent, "Ask", size=300_000)
        t.check(reply.error is None and len(reply.body["text"]) > 300_000, f"{agent}: {reply!r:.200}")
    t.equal(client.call("lua/a", "Announce", topic="news", text="y" * 100_000).error, None, "Announce")
    t.equal(len(python.hear("note")["text"]), 100_000, "what Python heard of Lua")
    t.equal(go.hear("event")["size"], 100_000, "what Go heard of Lua")
    stats = counts(t, lua)
    t.check(stats["deflated"] >= 2 and stats["deflated_to"] * 20 < stats["deflated_from"], f"the Lua worker: {stats}")


def compressing_worker(t, host):
    lua = t.troupe("worker", "--compress", "1k", "--host", host, t.path("spec/interop/agents/twin.lua"), "--", "lua")
    lua.wait_line(r"joined \S+: .*$")
    return lua


@scenario("gzip: a troupe worker and host that compress, with Python and grpc-go")
def compressing(t):
    host = t.host("--compress", "1k")
    process = t.processes[-1]
    compressed_both_ways(t, host, compressing_worker(t, host))
    stats = counts(t, process)
    t.check(stats["deflated"] >= 5 and stats["inflated"] >= 3, f"the host: {stats}")


@scenario("gzip: a troupe worker that compresses joins AutoGen's host")
def compressing_for_autogen(t):
    host = t.autogen_host()
    compressed_both_ways(t, host, compressing_worker(t, host))
