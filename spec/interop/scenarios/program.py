"""`troupe call`, `publish` and `subscribe` with Python workers, on troupe's host and on AutoGen's."""

import json

from support.scenario import scenario


def program_verbs(t, host):
    python = t.agent(host, "python", "notes")
    look = t.client(host)
    before = set(look.subscriptions())

    listener = t.troupe("subscribe", "notes", "--host", host)
    by_prefix = t.troupe("subscribe", "no*", "--host", host)
    t.eventually(
        lambda: {s[:2] for s in set(look.subscriptions()) - before} >= {("type", "notes"), ("prefix", "no")},
        "both subscriptions are there",
    )

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
    t.check(
        len(call.err) == 1 and call.err[0].startswith("troupe: ") and "bang" in call.err[0], f"what it said: {call.err}"
    )

    def printed(process):
        return [line for line in process.out if "from the shell" in line]

    for process in (listener, by_prefix):
        t.eventually(lambda p=process: printed(p), f"{process.name} prints the event")
    t.settle()
    for process in (listener, by_prefix):
        t.equal(len(printed(process)), 1, f"how often {process.name} printed it")
    t.equal(len(python.said("note")), 1, "how often the Python agent heard it")


def wait_for_type(t, host):
    call = t.troupe("call", "python/a", "Ask", '{"text": "hello"}', "--wait", "python", "--host", host)
    t.settle(1)
    t.check(call.running(), "it did not wait")
    t.agent(host, "python")
    t.equal(call.wait(), 0, "its status")
    t.equal(json.loads("\n".join(call.out))["text"], "hello, says python", "what it printed")

    call = t.troupe(
        "call", "python/a", "Ask", '{"text": "hello"}', "--wait", "python,missing", "--timeout", "1", "--host", host
    )
    t.equal(call.wait(), 1, "the status after the time-out")
    t.check(
        len(call.err) == 1 and call.err[0].startswith("troupe: ") and "missing" in call.err[0],
        f"what it said: {call.err}",
    )


@scenario("program: `troupe call`, `publish` and `subscribe` with Python workers on troupe's host")
def verbs(t):
    program_verbs(t, t.host())


@scenario("program: `troupe call`, `publish` and `subscribe` with Python workers on AutoGen's own host")
def verbs_on_autogen(t):
    program_verbs(t, t.autogen_host())


@scenario("program: `--wait TYPE` on troupe's host waits for a Python worker, and its time-out names who is missing")
def wait(t):
    wait_for_type(t, t.host())


@scenario("program: `--wait TYPE` on AutoGen's own host waits for a Python worker")
def wait_on_autogen(t):
    wait_for_type(t, t.autogen_host())


@scenario("program: a call to an agent that nobody has, on AutoGen's own host, which never answers: `timeout`")
def call_times_out(t):
    host = t.autogen_host()
    call = t.troupe("call", "nobody/a", "Ask", '{"text": "?"}', "--timeout", "1", "--host", host)
    t.equal(call.wait(5), 1, "its status")
    t.check(
        len(call.err) == 1 and call.err[0].startswith("troupe: ") and "timeout" in call.err[0],
        f"what it said: {call.err}",
    )
