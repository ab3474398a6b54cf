"""troupe's workers on AutoGen's own Python host."""

from support.scenario import scenario

from .twin import lua_notes


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
    t.equal(
        client.subscriptions(),
        [
            ("prefix", "lua:", "lua"),
            ("prefix", "python:", "python"),
            ("type", "notes", "lua"),
            ("type", "notes", "python"),
        ],
        "GetSubscriptions",
    )
    client.call("python/here", "Announce", topic="notes", text="from Python")
    client.call("lua/here", "Announce", topic="notes", text="from Lua")
    publish = t.troupe("publish", "notes/here", "Note", '{"text": "from the shell"}', "--host", host)
    t.equal(publish.wait(), 0, "the status of troupe publish")
    t.eventually(lambda: len(lua_notes(lua)) >= 2 and len(python.said("note")) >= 2, "both hear two events")
    t.settle()
    t.equal(sorted(note[3] for note in lua_notes(lua)), ["from Python", "from the shell"], "what Lua heard")
    t.equal(sorted(note["text"] for note in python.said("note")), ["from Lua", "from the shell"], "what Python heard")
    t.equal([note["sender"] for note in python.said("note", text="from Lua")], ["lua/here"], "whom Python heard")


@scenario("autogen's host: a type that is taken: the worker says so and joins once it is free")
def type_taken(t):
    host = t.autogen_host()
    python = t.agent(host, "lua")  # a Python worker under the name that the Lua worker wants
    worker = t.start_worker(host, "twin.lua", "lua")
    t.settle(1.5)
    t.equal(worker.out, [], "its standard output while the type is taken")
    t.check(worker.running(), f"it gave up with status {worker.status}")
    t.check(any("type lua is held by another worker" in line for line in worker.err), f"it does not say why it waits: {worker.err}")
    python.kill()
    worker.wait_line("joined .*: lua$", 20)
    t.equal(
        t.client(host).call("lua/a", "Ask", text="hello").body,
        {"text": "hello, says lua", "by": "lua/a", "sender": ""},
        "its answer",
    )
