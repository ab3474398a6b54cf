"""OpenChannel: how it begins, ends and begins again."""

import signal
import time

from support.peers import text_of
from support.process import SLOW
from support.scenario import scenario


def registered(t, raw, client):
    """A client with the type x, subscribed to `topic`, and its stream open."""
    raw.open(client)
    t.equal(raw.register(client, "x")["code"], "OK", "RegisterAgent")
    t.equal(raw.subscribe(client, "1", "topic", "x")["code"], "OK", "AddSubscription")


def request(number, target="x"):
    return {
        "request": {
            "request_id": str(number),
            "target": {"type": target, "key": "k"},
            "payload": {"data_type": "Ask", "data_content_type": "application/json", "data": "e30="},
        }
    }


@scenario("streams: OpenChannel has its response headers at once", autogen="fails")
def headers(t):
    raw = t.raw(t.host())
    for channel in ("OpenChannel", "OpenControlChannel"):
        raw.open("A", channel, channel)
        t.equal(raw.do("headers", stream=channel)["code"], "OK", f"the headers of {channel}")


@scenario("streams: types and subscriptions may come before OpenChannel", autogen="passes")
def unary_first(t):
    raw = t.raw(t.host())
    t.equal(raw.register("A", "x")["code"], "OK", "RegisterAgent")
    t.equal(raw.subscribe("A", "1", "topic", "x")["code"], "OK", "AddSubscription")
    raw.open("A")
    raw.open("B")
    raw.publish("B", "topic", "hello")
    t.equal(text_of(raw.message("A")["cloudEvent"]), "hello", "the event")
    raw.send("B", request(1))
    asked = raw.message("A")["request"]
    t.equal(asked["target"], {"type": "x", "key": "k"}, "the request")


@scenario("streams: a worker that has half-closed its stream goes on receiving", autogen="passes")
def half_closed(t):
    raw = t.raw(t.host())
    registered(t, raw, "A")
    raw.open("B")
    raw.do("half-close", stream="A")
    t.settle()
    t.equal(raw.said("end"), [], "streams that ended")
    raw.publish("B", "topic", "hello")
    t.equal(text_of(raw.message("A")["cloudEvent"]), "hello", "the event")


@scenario("streams: two clients with the same request id open at one agent get their own answers", autogen="fails")
def own_answers(t):
    raw = t.raw(t.host())
    registered(t, raw, "A")
    raw.open("B")
    raw.open("C")
    raw.send("B", request(1))
    of_b = raw.message("A")["request"]
    raw.send("C", request(1))
    of_c = raw.message("A")["request"]
    for asked, text in ((of_c, "to C"), (of_b, "to B")):
        raw.send("A", {"response": {"request_id": asked["request_id"], "error": text}})
    for client in ("B", "C"):
        answer = raw.message(client)["response"]
        t.equal((answer["request_id"], answer["error"]), ("1", f"to {client}"), f"the answer to {client}")


@scenario(
    "streams: odd messages harm nobody: empty, an answer nobody waits for, a request without target", autogen="passes"
)
def odd_messages(t):
    raw = t.raw(t.host())
    registered(t, raw, "A")
    raw.open("B")
    raw.send("B", {})
    raw.send("B", {"response": {"request_id": "77", "error": "who asked?"}})
    raw.send("A", {"response": {"request_id": "1"}})
    raw.send("B", {"request": {"request_id": "9"}})
    raw.publish("B", "topic", "still here")
    t.equal(text_of(raw.message("A")["cloudEvent"]), "still here", "the event behind them")
    t.equal(raw.said("end"), [], "streams that ended")


@scenario("streams: the newest stream of a client-id wins, and the older one ends with ABORTED", autogen="fails")
def newest_wins(t):
    raw = t.raw(t.host())
    registered(t, raw, "A")
    raw.open("B")
    raw.open("A", "A again")
    t.equal(raw.hear("end", stream="A")["code"], "ABORTED", "how the older one ended")
    raw.publish("B", "topic", "hello")
    t.equal(text_of(raw.message("A again")["cloudEvent"]), "hello", "the event")
    t.equal(len(raw.subscriptions()), 1, "how many subscriptions there are")


@scenario("streams: who comes back with its client-id finds its types and the events that waited", autogen="fails")
def comes_back(t):
    raw = t.raw(t.host())
    registered(t, raw, "A")
    raw.open("B")
    raw.do("cancel", stream="A")
    t.eventually(lambda: raw.subscriptions() == [], "its subscriptions no longer show")
    for number in range(3):
        raw.publish("B", "topic", f"waiting {number}")
    raw.send("B", request(1))
    away = raw.message("B", 2)["response"]
    t.check(away.get("error"), f"a request for who is away was answered {away}")
    raw.open("A", "A again")
    t.equal(
        [text_of(raw.message("A again")["cloudEvent"]) for _ in range(3)],
        [f"waiting {n}" for n in range(3)],
        "the events that waited",
    )
    raw.send("B", request(2))
    t.equal(raw.message("A again")["request"]["target"]["type"], "x", "the next request")
    t.equal(len(raw.subscriptions()), 1, "how many subscriptions there are")


@scenario("streams: while a client is away, another one may take its type", autogen="passes")
def taken_over(t):
    raw = t.raw(t.host())
    registered(t, raw, "A")
    raw.open("B")
    raw.open("C")
    raw.do("cancel", stream="A")
    t.eventually(lambda: raw.subscriptions() == [], "its subscriptions no longer show")
    t.equal(raw.register("C", "x")["code"], "OK", "RegisterAgent by another client")
    raw.send("B", request(1))
    t.equal(raw.message("C")["request"]["target"]["type"], "x", "the request goes to the new owner")


@scenario("streams: on SIGTERM the host ends a worker's stream with UNAVAILABLE, and itself with 0", autogen="passes")
def host_stops(t):
    address = t.host()
    host = t.processes[-1]
    raw = t.raw(address)
    registered(t, raw, "A")
    raw.publish("A", "topic", "to itself")  # so that AutoGen's host has sent its headers: else gRPC would retry
    raw.message("A")
    client = t.client(address)
    python = t.agent(address, "python", "topic")
    raw.publish("A", "topic", "to all")
    python.hear("note")
    began = time.monotonic()
    host.send_signal(signal.SIGTERM)
    t.equal(raw.hear("end", 8, stream="A")["code"], "UNAVAILABLE", "how the stream ended")
    t.equal(host.wait(8), 0, "the host's status")
    t.check(time.monotonic() - began < 8 * SLOW, "it took too long")
    # A real worker hears of it too: AutoGen's runtime keeps the error and raises it from stop().
    t.settle()  # nothing tells from outside when its event loop has seen the end
    python.excused = True
    python.send_signal(signal.SIGTERM)
    t.check(python.wait() != 0, "AutoGen's worker noticed nothing")
    t.check(any("StatusCode.UNAVAILABLE" in line for line in python.err), "AutoGen's worker did not raise UNAVAILABLE")
    client.kill()
