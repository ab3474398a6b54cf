"""A Python and a Lua worker on troupe's host: events and requests both ways, and errors in handlers."""

from support.scenario import at_once, scenario

from .twin import lua_notes, python_notes


@scenario("mixed: events both ways between a Python and a Lua agent, once each")
def events(t):
    host = t.host()
    lua, python = t.worker(host, "twin.lua", "lua", "notes"), t.agent(host, "python", "notes")
    client = t.client(host)
    client.publish("notes/here", "Note", text="from outside, ä 漢字 👩‍🚀")
    python.hear("note", text="from outside, ä 漢字 👩‍🚀")
    t.eventually(lambda: len(lua_notes(lua)) >= 1, "the Lua agent hears the event from outside")

    said = client.call("python/here", "Announce", topic="notes", text="from Python")
    t.equal(said.error, None, "Announce to the Python agent")
    t.eventually(lambda: len(lua_notes(lua)) >= 2, "the Lua agent hears the Python agent")
    said = client.call("lua/here", "Announce", topic="notes", text="from Lua")
    t.equal(said.error, None, "Announce to the Lua agent")
    python.hear("note", text="from Lua")

    t.settle()
    t.equal(
        [(by, topic, text) for by, topic, _, text in lua_notes(lua)],
        [("lua/here", "notes/here", "from outside, ä 漢字 👩‍🚀"), ("lua/here", "notes/here", "from Python")],
        "what the Lua agent heard",
    )
    t.equal(lua_notes(lua)[1][2], "python/here", "whom the Lua agent heard")
    t.equal(
        [note for note in python_notes(python) if note[2] != "unknown/unknown"],
        [("python/here", "notes/here", "lua/here", "from Lua")],
        "what the Python agent heard of agents",
    )
    t.equal(len(python_notes(python)), 2, "how many events the Python agent heard")


@scenario("mixed: `TYPE:` topics reach their agent through the prefix subscription, on both sides")
def direct_topics(t):
    host = t.host()
    lua, python = t.worker(host, "twin.lua", "lua"), t.agent(host, "python")
    client = t.client(host)
    client.publish("lua:anything/k", "Note", text="to Lua")
    client.publish("python:anything/k", "Note", text="to Python")
    t.equal(python.hear("note")["text"], "to Python", "what the Python agent heard")
    t.eventually(lambda: lua_notes(lua), "the Lua agent hears its own topic")
    t.settle()
    t.equal(
        [(n[0], n[1], n[3]) for n in lua_notes(lua)],
        [("lua/k", "lua:anything/k", "to Lua")],
        "what the Lua agent heard",
    )
    t.equal(len(python_notes(python)), 1, "how many events the Python agent heard")


@scenario("mixed: requests both ways between a Python and a Lua agent")
def requests(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    t.agent(host, "python")
    client = t.client(host)

    def asked(agent, type, expected, what, /, **body):
        reply = client.call(agent, type, **body)
        t.equal((reply.error, reply.type, reply.body), (None, "Answer", expected), what)

    asked(
        "lua/a",
        "Ask",
        {"text": "hello ü, says lua", "by": "lua/a", "sender": ""},
        "a Python client asks Lua",
        text="hello ü",
    )
    asked(
        "python/a",
        "Forward",
        {"text": "hello, says lua", "by": "lua/b c/d", "sender": "python/a"},
        "a Python agent asks Lua",
        to="lua/b c/d",
        type="Ask",
        text="hello",
    )
    asked(
        "lua/a",
        "Forward",
        {"text": "hello, says python", "by": "python/b c/d", "sender": "lua/a"},
        "a Lua agent asks Python",
        to="python/b c/d",
        type="Ask",
        text="hello",
    )
    asked(
        "lua/a",
        "Forward",
        {"text": "hello, says lua", "by": "lua/b", "sender": "lua/a"},
        "a Lua agent asks Lua",
        to="lua/b",
        type="Ask",
        text="hello",
    )
    asked(
        "python/a",
        "Forward",
        {"text": "hello, says python", "by": "python/b", "sender": "python/a"},
        "a Python agent asks Python",
        to="python/b",
        type="Ask",
        text="hello",
    )


@scenario("mixed: 200 requests in turn through troupe's host, Python to Lua and back")
def in_turn(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    client = t.client(host)
    for number in range(200):
        reply = client.call("lua/a", "Square", number=number, caller="me", wait=0)
        t.equal(reply.body, {"number": number, "square": number**2, "caller": "me"}, f"answer {number}")


@scenario("mixed: an error in a Lua handler is an exception in Python, and the agent goes on")
def lua_error(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    client = t.client(host)
    reply = client.call("lua/a", "Fail", text="boom ä")
    t.equal(reply.exception, "Exception", "what Python raises")
    t.check(reply.error.startswith("handler_error: ") and "boom ä" in reply.error, f"its text is {reply.error!r}")
    t.check("traceback" not in reply.error and "\n" not in reply.error, f"the traceback went out: {reply.error!r}")
    at_once(reply, "the error")
    t.equal(client.call("lua/a", "Ask", text="still there?").error, None, "the next request")


@scenario("mixed: an error in a Python handler is `handler_error` in Lua, and the other way round")
def errors_between_agents(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    t.agent(host, "python")
    client = t.client(host)
    reply = client.call("lua/a", "Forward", to="python/b", type="Fail", text="bang ü")
    t.equal((reply.type, reply.body), ("Failed", {"code": "handler_error", "text": "bang ü"}), "what Lua caught")
    reply = client.call("python/a", "Forward", to="lua/b", type="Fail", text="bum")
    t.equal(reply.type, "Failed", "what came of it")
    t.check(reply.body["text"].startswith("handler_error: ") and "bum" in reply.body["text"], f"Python caught {reply}")


@scenario("mixed: a message that a Lua agent does not handle is `cant_handle` at once")
def cant_handle(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    reply = t.client(host).call("lua/a", "Strange", text="?")
    t.check(reply.error is not None and reply.error.startswith("cant_handle: "), f"it is {reply}")
    at_once(reply, "the error")


@scenario("mixed: a Lua handler that returns nothing answers a Python caller too")
def quiet(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    reply = t.client(host).call("lua/a", "Quiet", text="")
    t.equal((reply.error, reply.type), (None, "UnknownPayload"), "what Python makes of it")
    t.equal((reply.body["type_name"], reply.body["payload"]), ("null", "b'null'"), "the reply")
