"""RegisterAgent, AddSubscription, RemoveSubscription, GetSubscriptions: answers as AutoGen's host gives them."""

from support.peers import text_of
from support.scenario import scenario

NO_CLIENT_ID = ("INVALID_ARGUMENT", "client-id metadata not found.")


def code_and_text(done):
    return done["code"], done.get("text")


@scenario("registration: GetSubscriptions lists what real workers added", autogen="passes")
def real_subscriptions(t):
    host = t.host()
    t.agent(host, "one", "notes", "more")
    other = t.agent(host, "other")
    client = t.client(host)
    mine = [("prefix", "one:", "one"), ("type", "more", "one"), ("type", "notes", "one")]
    t.equal(client.subscriptions(), sorted([*mine, ("prefix", "other:", "other")]), "with both workers")
    other.kill()
    t.eventually(lambda: client.subscriptions() == mine, "the killed worker's are gone")


@scenario("registration: GetSubscriptions gives ids and kinds back, in the order they were added", autogen="passes")
def raw_subscriptions(t):
    raw = t.raw(t.host())
    added = [
        {"id": "z", "typeSubscription": {"topic_type": "topic", "agent_type": "x"}},
        {"id": "a", "typePrefixSubscription": {"topic_type_prefix": "x:", "agent_type": "x"}},
        {"id": "m", "typePrefixSubscription": {"agent_type": "all"}},
        {"id": "z", "typePrefixSubscription": {"topic_type_prefix": "topic", "agent_type": "x"}},
    ]
    for subscription in added:
        t.equal(raw.do("AddSubscription", client="A", message={"subscription": subscription})["code"], "OK", "adding")
    t.equal(raw.subscriptions(), added, "GetSubscriptions")
    t.equal(raw.subscribe("A", "", "unnamed", "x")["code"], "OK", "adding one without an id")
    t.check(raw.subscriptions()[-1].get("id"), "the host gave no id to the one without")


@scenario("registration: an agent type that another client has is refused in AutoGen's words", autogen="passes")
def duplicate_type(t):
    host = t.host()
    raw = t.raw(host)
    raw.open("A")
    t.equal(raw.register("A", "taken")["code"], "OK", "the first")
    refused = ("INVALID_ARGUMENT", "Agent type taken already registered with client A.")
    t.equal(code_and_text(raw.register("B", "taken")), refused, "another client's")
    t.equal(code_and_text(raw.register("A", "taken")), refused, "a plain repeat by the same client")
    late = t.peer("agent.py", host, "taken")
    late.excused = True
    t.check(late.wait(20) != 0, "a real worker was given a type that is taken")
    t.check(any(refused[1] in line for line in late.err), "AutoGen's worker did not raise that text")


@scenario("registration: a type is free again when its worker has gone", autogen="passes")
def free_again(t):
    host = t.host()
    first = t.agent(host, "python")
    first.kill()
    client = t.client(host)
    t.eventually(lambda: client.subscriptions() == [], "the killed worker's subscriptions are gone")
    t.agent(host, "python")
    t.equal(client.call("python/a", "Ask", text="hello").error, None, "the new one's answer")


@scenario("registration: a subscription that exists is refused in AutoGen's words", autogen="passes")
def duplicate_subscription(t):
    raw = t.raw(t.host())
    exists = ("INVALID_ARGUMENT", "Subscription already exists")
    t.equal(raw.subscribe("A", "1", "topic", "x")["code"], "OK", "the first")
    t.equal(code_and_text(raw.subscribe("A", "1", "other", "y")), exists, "the same id")
    t.equal(code_and_text(raw.subscribe("A", "2", "topic", "x")), exists, "the same topic and agent type")
    t.equal(code_and_text(raw.subscribe("B", "3", "topic", "x")), exists, "the same, from another client")
    t.equal(raw.subscribe("B", "3", "topic", "y")["code"], "OK", "the same topic for another agent type")
    t.check(
        raw.do("AddSubscription", client="A", message={"subscription": {"id": "4"}})["code"] != "OK",
        "a subscription of no kind was accepted",
    )
    t.equal([s["id"] for s in raw.subscriptions()], ["1", "3"], "what is there in the end")


@scenario("registration: calls without client-id are INVALID_ARGUMENT in AutoGen's words", autogen="passes")
def no_client_id(t):
    raw = t.raw(t.host())
    subscription = {"id": "1", "typeSubscription": {"topic_type": "topic", "agent_type": "x"}}
    for method, message in (
        ("RegisterAgent", {"type": "x"}),
        ("AddSubscription", {"subscription": subscription}),
        ("RemoveSubscription", {"id": "1"}),
        ("GetSubscriptions", {}),
    ):
        t.equal(code_and_text(raw.do(method, client=None, message=message)), NO_CLIENT_ID, method)
    for channel in ("OpenChannel", "OpenControlChannel"):
        raw.do("open", client=None, channel=channel, stream=channel)
        t.equal(code_and_text(raw.hear("end", stream=channel)), NO_CLIENT_ID, channel)
    t.equal(raw.subscriptions(), [], "what is there in the end")


@scenario("registration: RemoveSubscription ends the events of that one", autogen="passes")
def remove(t):
    raw = t.raw(t.host())
    raw.open("A")
    raw.open("B")
    raw.register("A", "x")
    raw.subscribe("A", "1", "one", "x")
    raw.subscribe("A", "2", "two", "x")
    raw.publish("B", "one", "before")
    t.equal(text_of(raw.message("A")["cloudEvent"]), "before", "the first event")
    t.equal(raw.do("RemoveSubscription", client="A", message={"id": "1"})["code"], "OK", "RemoveSubscription")
    t.equal([s["id"] for s in raw.subscriptions()], ["2"], "what is there")
    raw.publish("B", "one", "after")
    raw.publish("B", "two", "other")
    t.equal(text_of(raw.message("A")["cloudEvent"]), "other", "the next event")
    t.settle()
    t.equal(len(raw.messages("A")), 2, "how many events came")
    again = raw.do("RemoveSubscription", client="A", message={"id": "1"})
    t.check(again["code"] in ("NOT_FOUND", "UNKNOWN"), f"an unknown id is {again['code']}")


@scenario("registration: an event goes once to a client, however many of its subscriptions match", autogen="passes")
def once_a_client(t):
    raw = t.raw(t.host())
    for client in ("A", "B"):
        raw.open(client)
        for type in ("x", "y"):
            raw.register(client, client + type)
            for topic in ("topic", "other"):
                raw.subscribe(client, f"{client}{type}{topic}", topic, client + type)
            prefix = {
                "id": f"{client}{type}p",
                "typePrefixSubscription": {"topic_type_prefix": "to", "agent_type": client + type},
            }
            raw.do("AddSubscription", client=client, message={"subscription": prefix})
    for number in range(50):
        raw.publish("A", "topic", str(number))
    for client in ("A", "B"):  # its sender is a receiver too: other agents may live there
        t.eventually(lambda c=client: len(raw.messages(c)) >= 50, f"{client} gets all")
    t.settle()
    for client in ("A", "B"):
        t.equal(
            [text_of(m["cloudEvent"]) for m in raw.messages(client)],
            [str(n) for n in range(50)],
            f"what {client} got, in order",
        )
