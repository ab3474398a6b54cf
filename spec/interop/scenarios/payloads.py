"""Bodies that only pass through come out as they went in."""

from support.scenario import scenario


@scenario(
    "payloads: dataclasses, pydantic models and protobufs pass between two Python workers untouched", autogen="passes"
)
def untouched(t):
    host = t.host()
    receiver = t.peer("payloads.py", host, "receive")
    receiver.hear("ready", 20)
    sender = t.peer("payloads.py", host, "send")
    sender.hear("done", 30)

    def all_of(peer, what, kind):
        return [(record["type"], record["exact"]) for record in peer.said(what, kind=kind)]

    for kind, number in (("event", 8), ("request", 5)):
        sent = all_of(sender, "sent", kind)
        t.equal(len(sent), number, f"how many {kind}s were sent")
        t.eventually(lambda k=kind, n=number: len(all_of(receiver, "got", k)) >= n, f"{number} {kind}s arrive")
        got = all_of(receiver, "got", kind)
        # Two runtimes send the events, and handlers run side by side: the order is theirs.
        for type, exact in sent:
            t.check(
                (type, exact) in got,
                f"the {kind} {type} {exact[:300]} did not arrive, or was changed; "
                f"of that type: {[e[:300] for n, e in got if n == type]}",
            )
        t.equal(len(got), number, f"how many {kind}s arrived")
    t.equal(all_of(sender, "reply", "request"), all_of(sender, "sent", "request"), "the replies")


# Of protobuf's wire format, by hand: what the schema does not know must pass too.
def tagged(number: int, data: bytes) -> bytes:
    def varint(value: int) -> bytes:
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    return varint(number << 3 | 2) + varint(len(data)) + data


UNKNOWN = tagged(1000, "unknown ü".encode())


@scenario("payloads: unknown fields and metadata pass through the host", autogen="passes")
def unknown_fields(t):
    host = t.host()
    raw = t.raw(host)
    raw.open("A")
    raw.open("B")
    t.equal(raw.register("A", "target")["code"], "OK", "RegisterAgent")
    t.equal(raw.subscribe("A", "1", "topic", "target")["code"], "OK", "AddSubscription")

    attribute = tagged(1, b"dataschema") + tagged(2, tagged(3, b"Note"))
    event = tagged(1, b"id") + tagged(2, b"here") + tagged(3, b"1.0") + tagged(4, b"topic") + tagged(5, attribute)
    event = tagged(3, event + tagged(6, b"\x00\xff body") + UNKNOWN)
    raw.do("send", stream="B", hex=event.hex())
    came = raw.hear("message", stream="A")
    t.equal(came["hex"], event.hex(), "the bytes of the event")

    payload = tagged(1, b"Ask") + tagged(2, b"application/json") + tagged(3, b'{"text": "?"}') + UNKNOWN
    metadata = tagged(1, b"traceparent") + tagged(2, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    request = tagged(1, b"41") + tagged(3, tagged(1, b"target") + tagged(2, b"k")) + tagged(5, payload)
    raw.do("send", stream="B", hex=tagged(1, request + tagged(6, metadata) + UNKNOWN).hex())
    came = raw.hear("message", stream="A")
    asked = came["message"]["request"]
    t.equal(asked["metadata"], {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "metadata")
    t.equal(asked["target"], {"type": "target", "key": "k"}, "the target")
    t.equal(bytes.fromhex(came["hex"]).count(UNKNOWN), 2, "how many of the unknown fields of the request came")

    payload = tagged(1, b"Answer") + tagged(2, b"application/json") + tagged(3, b'{"text": "!"}') + UNKNOWN
    response = tagged(1, asked["request_id"].encode()) + tagged(2, payload) + UNKNOWN
    raw.do("send", stream="A", hex=tagged(2, response).hex())
    came = raw.hear("message", stream="B")
    t.equal(came["message"]["response"]["request_id"], "41", "the id of the answer")
    t.equal(bytes.fromhex(came["hex"]).count(UNKNOWN), 2, "how many of the unknown fields of the answer came")
