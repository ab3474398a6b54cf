"""Protobuf bodies between Lua agents and AutoGen's workers that use its protobuf serialization, on both hosts; and between workers of
which one speaks protobuf and the other JSON."""

from support.scenario import scenario

ORDER = {"id": "p1", "lines": [{"item": "nut", "count": 3}, {"item": "bolt", "count": 4}], "notes": {"to": "Anna ü"}}


def lua_orders(lua):
    return [tuple(line.split("\t")[1:]) for line in lua.out if line.startswith("order\t")]


def lua_worker(t, host, *args, types=True):
    known = ["--protobuf", t.path("examples", "protobuf", "order.desc")] if types else []
    process = t.troupe("worker", "--host", host, *known, t.path("spec", "interop", "agents", "orders.lua"), "--", *args)
    process.wait_line(r"joined \S+: .*$")
    return process


def python_worker(t, host, *args):
    process = t.peer("orders.py", host, *args)
    process.hear("ready", 20)
    return process


def fields(record):
    return {name: record[name] for name in ("id", "lines", "notes")}


def both_ways(t, host):
    lua = lua_worker(t, host, "lua", "orders")
    python = python_worker(t, host, "python", "protobuf", "orders")
    client = t.client(host)
    t.equal(client.call("lua/here", "Announce", topic="orders", text="p1").error, None, "Announce to the Lua agent")
    t.equal(fields(python.hear("order", request=False, sender="lua/here")), ORDER, "what Python heard of Lua")
    python.tell(topic="orders", order={**ORDER, "id": "p2"})
    t.eventually(lambda: lua_orders(lua), "Lua hears Python")
    t.equal(lua_orders(lua), [("lua/here", "shop.Order", "p2", "7", "nut", "Anna ü")], "what Lua heard")
    # A request, too: AutoGen's workers read it, and answer in JSON.
    reply = client.call("lua/a", "Forward", to="python/b", type="", text="p3")
    t.equal((reply.error, reply.body and reply.body["text"]), (None, "Done p3 7"), "what Python answered Lua")
    t.equal(fields(python.hear("order", request=True)), {**ORDER, "id": "p3"}, "what Lua asked Python")


@scenario("protobuf: events both ways and requests between Lua and Python, through troupe's host")
def on_troupe(t):
    both_ways(t, t.host())


@scenario("protobuf: events both ways and requests between Lua and Python, through AutoGen's host")
def on_autogen(t):
    both_ways(t, t.autogen_host())


@scenario("protobuf: between two Lua workers through each host, answers too")
def lua_to_lua(t):
    for host in (t.host(), t.autogen_host()):
        lua_worker(t, host, "one")
        lua_worker(t, host, "two")
        reply = t.client(host).call("one/a", "Forward", to="two/b", type="", text="p4")
        t.equal((reply.error, reply.body and reply.body["text"]), (None, "shop.Receipt p4 7"), "the answer")


@scenario("protobuf: a host that knows the types gives JSON to who publishes JSON, and the other way round")
def transcoded(t):
    host = t.host("--protobuf", t.path("examples", "protobuf", "order.desc"))
    json, binary = python_worker(t, host, "json", "json", "orders"), python_worker(t, host, "binary", "protobuf", "orders")
    lua = lua_worker(t, host, "lua", "orders", types=False)
    json.tell(topic="orders", order={**ORDER, "id": "j1"})
    t.equal(json.hear("order", id="j1")["id"], "j1", "what the JSON worker heard of itself")
    t.eventually(lambda: lua_orders(lua), "Lua hears the JSON worker")
    binary.tell(topic="orders", order={**ORDER, "id": "b1"})
    t.equal(fields(binary.hear("order", id="b1")), {**ORDER, "id": "b1"}, "what the protobuf worker heard of itself")
    t.equal(fields(json.hear("order", id="b1")), {**ORDER, "id": "b1"}, "what the JSON worker heard of protobuf")
    json.tell(topic="orders", order={**ORDER, "id": "j2"})
    t.equal(fields(binary.hear("order", id="j2")), {**ORDER, "id": "j2"}, "what the protobuf worker heard of JSON")
    t.eventually(lambda: len(lua_orders(lua)) >= 3, "Lua hears all")
    t.equal(
        [(type, id, items) for _, type, id, items, *_ in lua_orders(lua)],
        [("Order", "j1", "7"), ("shop.Order", "b1", "7"), ("Order", "j2", "7")],
        "what Lua heard, which knows no types",
    )


@scenario("protobuf: --json-only and --protobuf-only, for workers that publish nothing")
def told(t):
    host = t.host("--protobuf", t.path("examples", "protobuf", "order.desc"), "--json-only", "json", "--protobuf-only", "binary")
    json, binary = python_worker(t, host, "json", "json", "orders"), python_worker(t, host, "binary", "protobuf", "orders")
    lua_worker(t, host, "lua")
    t.equal(t.client(host).call("lua/here", "Announce", topic="orders", text="p1").error, None, "Announce")
    t.equal(fields(json.hear("order")), ORDER, "what the JSON worker heard")
    t.equal(fields(binary.hear("order")), ORDER, "what the protobuf worker heard")
    publish = t.troupe("publish", "orders/here", "Order", '{"id": "s1", "lines": [], "notes": {}}', "--host", host)
    t.equal(publish.wait(), 0, "the status of troupe publish")
    for worker in (json, binary):
        t.equal(fields(worker.hear("order", id="s1")), {"id": "s1", "lines": [], "notes": {}}, "from the shell")


@scenario("protobuf: examples/python/orders.py takes orders from the shell, and its receipts are read there")
def example(t):
    host, types = t.host(), t.path("examples", "protobuf", "order.desc")
    python = t.peer(t.path("examples", "python", "orders.py"), host, types)
    python.wait_line(r"joined \S+: pyclerk$", 20)
    receipts = t.troupe("subscribe", "receipts", "--count", "1", "--protobuf", types, "--host", host)
    receipts.wait_line("^joined ")
    order = '{"id": "o1", "lines": [{"item": "nut", "count": 3}, {"item": "bolt", "count": 4}], "notes": {"to": "Anna"}}'
    publish = t.troupe("publish", "orders", "shop.Order", order, "--protobuf", types, "--wait", "pyclerk", "--host", host)
    t.equal(publish.wait(), 0, "the status of troupe publish")
    python.wait_line(r"order o1: 7 items, \{'to': 'Anna'\}$")
    receipts.wait_line(r'receipts/default shop\.Receipt \{"id":"o1","items":7,"state":"SHIPPED"\}$')


@scenario("mixed: one event to Python and Lua workers at once, each in what it reads")
def mixed(t):
    host = t.host()
    receivers = [t.worker(host, "twin.lua", f"lua{n}", "notes") for n in (1, 2)]
    python = [t.agent(host, f"python{n}", "notes") for n in (1, 2)]
    t.worker(host, "twin.lua", "sender")
    said = t.client(host).call("sender/here", "Announce", topic="notes", text="to all ü")
    t.equal(said.error, None, "Announce")
    for peer in python:
        t.equal(peer.hear("note")["text"], "to all ü", "what Python heard")
    for lua in receivers:
        t.eventually(lambda lua=lua: any(line.endswith("\tto all ü") for line in lua.out), "Lua hears it")
