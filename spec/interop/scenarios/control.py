"""OpenControlChannel: routed by destination."""

from support.scenario import scenario

ANY = "type.googleapis.com/agents."


def save_request(rpc_id, destination):
    return {
        "rpc_id": rpc_id,
        "destination": destination,
        "respond_to": "clientid=B",
        "rpcMessage": {"@type": ANY + "SaveStateRequest", "agentId": {"type": "x", "key": "k/1"}},
    }


def control_streams(t, raw):
    for client in ("A", "B"):
        raw.open(client)
        raw.open(client, f"{client} control", "OpenControlChannel")
    t.equal(raw.register("A", "x")["code"], "OK", "RegisterAgent")


@scenario("control: a message goes to the client of agentid=T/K, and the answer to clientid=ID", autogen="passes")
def both_ways(t):
    raw = t.raw(t.host())
    control_streams(t, raw)
    asked = save_request("7", "agentid=x/k/1")
    raw.send("B control", asked)
    t.equal(raw.message("A control"), asked, "what the agent's client got")
    answer = {
        "rpc_id": "7",
        "destination": "clientid=B",
        "rpcMessage": {"@type": ANY + "SaveStateResponse", "state": '{"ü": 1}'},
    }
    raw.send("A control", answer)
    t.equal(raw.message("B control"), answer, "what the asker got")
    t.settle()
    t.equal((len(raw.messages("A control")), len(raw.messages("B control"))), (1, 1), "how many messages came")
    t.equal((raw.messages("A"), raw.messages("B")), ([], []), "what came on the data channels")


@scenario("control: destinations that nobody has are dropped, and the stream goes on", autogen="passes")
def unknown_destinations(t):
    raw = t.raw(t.host())
    control_streams(t, raw)
    for destination in ("agentid=nobody/k", "clientid=nobody", "something=else", ""):
        raw.send("B control", save_request("1", destination))
    raw.send("B control", save_request("2", "clientid=A"))
    t.equal(raw.message("A control")["rpc_id"], "2", "the message behind them")
    t.equal(raw.said("end"), [], "streams that ended")


@scenario("control: an agentid without a key does not stop the stream either", autogen="fails")
def agentid_without_key(t):
    raw = t.raw(t.host())
    control_streams(t, raw)
    raw.send("B control", save_request("1", "agentid=nobody"))
    raw.send("B control", save_request("2", "clientid=A"))
    t.equal(raw.message("A control")["rpc_id"], "2", "the message behind it")
