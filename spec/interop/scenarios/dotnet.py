"""Workers as .NET's are (docs/lessons.md, N1 to N21), played in Go on grpc-go: spec/peers. Beside them workers as Python's are on the
same library, and real ones."""

from support.scenario import scenario

TAKEN = "Agent type {} already registered with client {}."


def refused(done):
    return done.get("code"), done.get("error")


def heard(peer):
    return [(event["topic"], event["source"], event["text"]) for event in peer.said("event")]


@scenario("dotnet: registers before and after its stream is opened, on two connections", autogen="passes")
def both_orders(t):
    host = t.host()
    early, late = t.go("dotnet", host, "--type", "early", "--unary-first"), t.go("dotnet", host, "--type", "late")
    caller = t.go("dotnet", host)
    t.equal(caller.call("early/a", text="one"), "re: one", "who registered first")
    t.equal(caller.call("late/b", text="two"), "re: two", "who opened its stream first")
    t.equal([early.said("threw"), late.said("threw"), caller.said("threw")], [[], [], []], "exceptions")


@scenario("dotnet: events of nobody's agent, in protobuf, reach .NET and Python, their publisher too", autogen="passes")
def events(t):
    host = t.host()
    one = t.go("dotnet", host, "--type", "one", "--topic", "news")
    other = t.go("python", host, "--type", "other", "--topic", "news")
    one.do("publish", topic="news", source="s", text="hello")
    for peer in (one, other):
        t.equal(peer.hear("event")["text"], "hello", "the event")
    one.do("publish", topic="one:direct", source="k", text="direct")
    t.equal(one.hear("event")["topic"], "one:direct", "by its prefix")
    t.equal(heard(other), [("news", "s", "hello")], "the other hears no more than it asked for")


@scenario("dotnet: a JSON event is not sent to it, and its stream lives", autogen="fails")
def json_event(t):
    host = t.host()
    dotnet = t.go("dotnet", host, "--type", "net", "--topic", "news")
    python = t.go("python", host, "--type", "py", "--topic", "news")
    python.do("publish", topic="news", source="s", text="json")
    t.equal(python.hear("event")["text"], "json", "Python hears it")
    dotnet.do("publish", topic="news", source="s", text="after")
    t.equal(dotnet.hear("event")["text"], "after", "and .NET what it can take")
    t.equal((dotnet.said("threw"), dotnet.said("ended")), ([], []), "no exception in .NET")


@scenario("dotnet: an error without a payload is withheld from it, and its stream lives", autogen="passes")
def no_error(t):
    host = t.host()
    caller, worker = t.go("dotnet", host), t.go("dotnet", host, "--type", "net")
    ticket = caller.start("call", agent="nobody/here", text="?")
    t.equal(caller.call("net/a", text="one"), "re: one", "another call beside it")
    t.equal(caller.finish(ticket).get("error"), "no answer", "the call that cannot be answered")
    t.equal((caller.said("threw"), caller.said("ended"), worker.said("ended")), ([], [], []), "no exception")


@scenario("dotnet: JSON requests and illegal ids are not sent to it; the caller hears why", autogen="fails")
def no_json_request(t):
    host = t.host()
    worker, caller = t.go("dotnet", host, "--type", "net"), t.go("python", host)
    done = caller.do("call", agent="net/a", text="json")
    t.check("cannot" in done.get("error", "") or "take" in done.get("error", ""), f"the caller: {done}")
    t.equal(t.go("dotnet", host).call("net/a", text="one"), "re: one", "what it can take")
    t.equal(worker.said("threw"), [], "no exception")


@scenario("dotnet: a repeated registration is refused, unless it opened its stream again", autogen="passes")
def repeated(t):
    worker = t.go("dotnet", t.host(), "--type", "net")
    again = worker.do("register", agent="net")
    t.equal(refused(again), ("InvalidArgument", TAKEN.format("net", worker.id)), "a plain repeat")
    worker.do("reopen")
    t.eventually(lambda: "error" not in worker.do("register", agent="net"), "a repeat on its way back")


@scenario("dotnet: it opens its stream again, registers nothing, and goes on", autogen="fails")
def reopened(t):
    host = t.host()
    worker = t.go("dotnet", host, "--type", "net", "--topic", "news")
    caller = t.go("dotnet", host)
    for n in range(5):
        worker.do("reopen")
        t.equal(worker.call("net/me", text="?"), "re: ?", "it asks itself, on the new stream")
        caller.do("publish", topic="news", source="s", text=str(n))
        t.equal(worker.hear("event", text=str(n))["text"], str(n), "an event after reopening")
    t.equal(caller.call("net/a", text="one"), "re: one", "a request after reopening")


@scenario("dotnet: subscription ids are GUIDs, kept and removed by; an empty subscription is invalid", autogen="fails")
def subscriptions(t):
    worker = t.go("dotnet", t.host(), "--type", "net")
    id = worker.do("subscribe", kind="type", topic="a", agent="net")["subscription"]
    t.check(len(id) == 36 and id in worker.do("subscriptions")["ids"], "the id that it chose is listed")
    empty = worker.do("subscribe", kind="none")
    t.equal(refused(empty), ("InvalidArgument", "Invalid subscription message."), "an empty one")
    t.equal(worker.do("unsubscribe", text=id).get("error"), None, "removing it")
    t.equal(refused(worker.do("unsubscribe", text=id)), ("NotFound", "Subscription does not exist"), "and again")


@scenario("dotnet: grpc-go and AutoGen's Python call each other's agents in JSON", autogen="passes")
def with_python(t):
    host = t.host()
    worker = t.go("python", host, "--type", "go")
    t.agent(host, "python")
    client = t.client(host)
    reply = client.call("go/a", "Note", text="hi")
    t.check(reply.error is None or "Note" in str(reply), f"Python asks Go: {reply}")
    t.equal(worker.hear("request")["text"], "hi", "what Go heard")


@scenario("gzip: grpc-go and troupe, both ways, events, requests and answers, 3 MB too")
def go_gzip(t):
    host = t.host()
    t.worker(host, "twin.lua", "lua", "news")
    dotnet = t.go("dotnet", host, "--type", "net", "--topic", "news", "--gzip")
    python = t.go("python", host, "--type", "py", "--topic", "other", "--gzip")
    caller = t.go("python", host, "--gzip")
    for size in (10, 100_000, 3_000_000):
        done = caller.do("call", agent="py/a", size=size)
        t.equal(done.get("size"), size + 4, f"an answer of {size}")
        dotnet.do("publish", topic="news", source="s", size=size)
        t.equal(dotnet.hear("event")["size"], size, f"an event of {size}")
    t.equal((python.said("threw"), dotnet.said("threw")), ([], []), "exceptions")
