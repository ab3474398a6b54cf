"""A Python and a Lua worker on troupe's host: events and requests both ways, and errors instead of hangs."""
import json
import signal
import time

from support.process import SLOW
from support.scenario import at_once, scenario


def notes(lua):
    """(by, topic, sender, text) of each Note that the Lua twin printed."""
    return [tuple(line.split("\t")[1:]) for line in lua.out if line.startswith("note\t")]


def python_notes(python):
    return [(r["by"], r["topic"], r["sender"], r["text"]) for r in python.said("note")]


@scenario("mixed: events both ways between a Python and a Lua agent, once each")
def events(t):
    host = t.host()
    lua, python = t.worker(host, "twin.lua", "lua", "notes"), t.agent(host, "python", "notes")
    client = t.client(host)
    client.publish("notes/here", "Note", text="from outside, ä 漢字 👩‍🚀")
    python.hear("note", text="from outside, ä 漢字 👩‍🚀")
    t.eventually(lambda: len(notes(lua)) >= 1, "the Lua agent hears the event from outside")

    said = client.call("python/here", "Announce", topic="notes", text="from Python")
    t.equal(said.error, None, "Announce to the Python agent")
    t.eventually(lambda: len(notes(lua)) >= 2, "the Lua agent hears the Python agent")
    said = client.call("lua/here", "Announce", topic="notes", text="from Lua")
    t.equal(said.error, None, "Announce to the Lua agent")
    python.hear("note", text="from Lua")

    t.settle()
    t.equal([(by, topic, text) for by, topic, _, text in notes(lua)],
            [("lua/here", "notes/here", "from outside, ä 漢字 👩‍🚀"), ("lua/here", "notes/here", "from Python")],
            "what the Lua agent heard")
    t.equal(notes(lua)[1][2], "python/here", "whom the Lua agent heard")
    t.equal([note for note in python_notes(python) if note[2] != "unknown/unknown"],
            [("python/here", "notes/here", "lua/here", "from Lua")], "what the Python agent heard of agents")
    t.equal(len(python_notes(python)), 2, "how many events the Python agent heard")


@scenario("mixed: `TYPE:` topics reach their agent through the prefix subscription, on both sides")
def direct_topics(t):
    host = t.host()
    lua, python = t.worker(host, "twin.lua", "lua"), t.agent(host, "python")
    client = t.client(host)
    client.publish("lua:anything/k", "Note", text="to Lua")
    client.publish("python:anything/k", "Note", text="to Python")
    t.equal(python.hear("note")["text"], "to Python", "what the Python agent heard")
    t.eventually(lambda: notes(lua), "the Lua agent hears its own topic")
    t.settle()
    t.equal([(n[0], n[1], n[3]) for n in notes(lua)], [("lua/k", "lua:anything/k", "to Lua")], "what the Lua agent heard")
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

    asked("lua/a", "Ask", {"text": "hello ü, says lua", "by": "lua/a", "sender": ""},
          "a Python client asks Lua", text="hello ü")
    asked("python/a", "Forward", {"text": "hello, says lua", "by": "lua/b c/d", "sender": "python/a"},
          "a Python agent asks Lua", to="lua/b c/d", type="Ask", text="hello")
    asked("lua/a", "Forward", {"text": "hello, says python", "by": "python/b c/d", "sender": "lua/a"},
          "a Lua agent asks Python", to="python/b c/d", type="Ask", text="hello")
    asked("lua/a", "Forward", {"text": "hello, says lua", "by": "lua/b", "sender": "lua/a"},
          "a Lua agent asks Lua", to="lua/b", type="Ask", text="hello")
    asked("python/a", "Forward", {"text": "hello, says python", "by": "python/b", "sender": "python/a"},
          "a Python agent asks Python", to="python/b", type="Ask", text="hello")


@scenario("mixed: 200 requests in turn through troupe's host, Python to Lua and back")
def in_turn(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua")
    client = t.client(host)
    for number in range(200):
        reply = client.call("lua/a", "Square", number=number, caller="me")
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


@scenario("errors: a Python worker killed with SIGKILL while it is asked: the caller has an error at once", autogen="fails")
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


@scenario("program: `troupe call`, `publish` and `subscribe` with Python workers on troupe's host")
def program(t):
    host = t.host()
    program_verbs(t, host)


def program_verbs(t, host):
    """Shared with autogen_host.py: the three verbs against any host."""
    python = t.agent(host, "python", "notes")
    look = t.client(host)
    before = set(look.subscriptions())

    listener = t.troupe("subscribe", "notes", "--host", host)
    by_prefix = t.troupe("subscribe", "no*", "--host", host)
    t.eventually(lambda: {s[:2] for s in set(look.subscriptions()) - before} >= {("type", "notes"), ("prefix", "no")},
                 "both subscriptions are there")

    publish = t.troupe("publish", "notes/here", "Note", '{"text": "from the shell ü"}', "--host", host)
    t.equal(publish.wait(), 0, "the status of troupe publish")
    note = python.hear("note")
    t.equal((note["topic"], note["text"]), ("notes/here", "from the shell ü"), "what the Python agent heard")

    call = t.troupe("call", "python/a", "Ask", '{"text": "hello ü"}', "--host", host)
    t.equal(call.wait(), 0, "the status of troupe call")
    answer = json.loads("\n".join(call.out))
    t.equal((answer.get("text"), answer.get("by")), ("hello ü, says python", "python/a"), "what troupe call printed")

    call = t.troupe("call", "python/a", "Ask", '{"text": "x"}', "--json", "--host", host)
    t.equal(call.wait(), 0, "the status of troupe call --json")
    answer = json.loads("\n".join(call.out))
    t.equal((answer["type"], answer["body"]["text"]), ("Answer", "x, says python"), "what troupe call --json printed")

    call = t.troupe("call", "python/a", "Fail", '{"text": "bang"}', "--host", host)
    t.equal(call.wait(), 1, "the status of a call that failed")
    t.equal(call.out, [], "its standard output")
    t.check(len(call.err) == 1 and call.err[0].startswith("troupe: ") and "bang" in call.err[0],
            f"what it said: {call.err}")

    def printed(process):
        return [line for line in process.out if "from the shell" in line]

    for process in (listener, by_prefix):
        t.eventually(lambda p=process: printed(p), f"{process.name} prints the event")
    t.settle()
    for process in (listener, by_prefix):
        t.equal(len(printed(process)), 1, f"how often {process.name} printed it")
    t.equal(len(python.said("note")), 1, "how often the Python agent heard it")


@scenario("program: `--wait TYPE` waits for a Python worker, and its time-out names who is missing")
def program_wait(t):
    wait_for_type(t, t.host())


def wait_for_type(t, host):
    """Shared with autogen_host.py."""
    call = t.troupe("call", "python/a", "Ask", '{"text": "hello"}', "--wait", "python", "--host", host)
    t.settle(1)
    t.check(call.running(), "it did not wait")
    t.agent(host, "python")
    t.equal(call.wait(), 0, "its status")
    t.equal(json.loads("\n".join(call.out))["text"], "hello, says python", "what it printed")

    call = t.troupe("call", "python/a", "Ask", '{"text": "hello"}', "--wait", "python,missing", "--timeout", "1",
                    "--host", host)
    t.equal(call.wait(), 1, "the status after the time-out")
    t.check(len(call.err) == 1 and call.err[0].startswith("troupe: ") and "missing" in call.err[0],
            f"what it said: {call.err}")
