"""Several real AutoGen workers of one agent type, which the host's operator lets them share (`host --shared TYPE`)."""

from support.scenario import scenario

KEYS = [f"k{n}" for n in range(24)]


def hears(workers, count):
    """Who heard what: {key: worker's number}, once `count` notes were heard in all."""
    notes = [(note["by"].split("/")[1], number) for number, worker in enumerate(workers) for note in worker.said("note")]
    return notes if len(notes) >= count else None


def who_answers(t, client, workers, key):
    """The number of the worker that a request for this key goes to."""
    before = [len(worker.said("slow")) for worker in workers]
    t.equal(client.call(f"py/{key}", "Slow", seconds=0.0).body["by"], f"py/{key}", "who answers")
    after = t.eventually(
        lambda: [n for n, worker in enumerate(workers) if len(worker.said("slow")) > before[n]], f"somebody worked on {key}"
    )
    t.equal(len(after), 1, f"how many worked on {key}")
    return after[0]


@scenario("shared: two Python workers of one type share its ids, each event is heard once, and one stands in for the other", seconds=60)
def share(t):
    host = t.host("--shared", "py,other")
    workers = [t.agent(host, "py", "notes"), t.agent(host, "py", "notes")]
    client = t.client(host)
    places = {key: who_answers(t, client, workers, key) for key in KEYS}
    t.check(8 <= sum(places.values()) <= 16, f"they are not spread evenly: {places}")
    for _ in range(2):
        for key in KEYS:
            client.publish(f"notes/{key}", "Note", text="hello")
    notes = t.eventually(lambda: hears(workers, 2 * len(KEYS)), "each event is heard")
    t.settle()
    notes = hears(workers, 0)
    t.equal(sorted(notes), sorted(2 * list(places.items())), "each is heard by the worker that has the id")
    t.equal({key: who_answers(t, client, workers, key) for key in KEYS[:6]}, {key: places[key] for key in KEYS[:6]}, "they stay")
    workers[0].kill()
    for key in KEYS:
        t.eventually(lambda key=key: client.call(f"py/{key}", "Ask", text="there?").error is None, f"the other one answers for {key}")


@scenario("shared: a Lua worker and a Python worker share a type", seconds=60)
def mixed(t):
    host = t.host("--shared", "py")
    python = t.agent(host, "py", "notes")
    t.worker(host, "twin.lua", "py", "notes")
    client = t.client(host)
    answers = [client.call(f"py/{key}", "Ask", text="who?") for key in KEYS]
    t.check(all(answer.error is None for answer in answers), f"all answer: {answers}")
    for key in KEYS:
        client.publish(f"notes/{key}", "Note", text="hello")
    t.eventually(lambda: python.said("note"), "some of the events are heard by the Python worker")
    t.settle()
    t.check(6 <= len(python.said("note")) <= 18, f"{len(python.said('note'))} of {len(KEYS)} events were for it")


@scenario("shared: without the operator's word a second Python worker of a type is refused, as AutoGen's host does", autogen="passes")
def refused(t):
    host = t.host()
    t.agent(host, "py", "notes")
    second = t.peer("agent.py", host, "py", "notes")
    second.excused = True
    t.eventually(lambda: not second.running(), "it gives up")
    t.check(any("already registered" in line for line in second.err), "it says why")
