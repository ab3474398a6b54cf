"""SaveState and LoadState of a Lua agent, by the control channel of either host."""

import json

from support.scenario import scenario

ANY = "type.googleapis.com/agents."


def ask(raw, rpc_id, request, key="a", **fields):
    agent = {"type": "lua", "key": key}
    message = {"@type": f"{ANY}{request}Request", "agentId": agent, **fields}
    destination = {"destination": f"agentid=lua/{key}", "respond_to": "clientid=B"}
    raw.send("B control", {"rpc_id": rpc_id, **destination, "rpcMessage": message})
    return raw.message("B control")


def answer(rpc_id, response, **fields):
    return {"rpc_id": rpc_id, "destination": "clientid=B", "rpcMessage": {"@type": f"{ANY}{response}Response", **fields}}


def save_and_load(t, host):
    t.worker(host, "keeper.lua", "lua")
    client, raw = t.client(host), t.raw(host)
    raw.open("B")
    raw.open("B", "B control", "OpenControlChannel")
    t.equal(client.call("lua/a", "Ask", text="").body["text"], "1", "its first answer")
    saved = ask(raw, "1", "SaveState")
    state = saved["rpcMessage"].pop("state", "null")
    t.equal(saved, answer("1", "SaveState"), "the answer but for the state")
    t.equal(json.loads(state), {"troupe-version": 3, "state": {"n": 1}}, "the state")
    client.call("lua/a", "Ask", text="")
    t.equal(ask(raw, "2", "LoadState", state=state), answer("2", "LoadState"), "the answer to LoadState")
    t.equal(client.call("lua/a", "Ask", text="").body["text"], "2", "what it counts on from")
    t.equal(ask(raw, "3", "LoadState", key="b", state='{"troupe-version":1,"state":{"n":7}}'), answer("3", "LoadState"), "an older one")
    t.equal(client.call("lua/b", "Ask", text="").body["text"], "108", "migrated")
    refused = ask(raw, "4", "LoadState", state='{"troupe-version":9,"state":{}}')
    t.check("newer than the code's 3" in refused["rpcMessage"]["error"], f"it is {refused}")
    missing = ask(raw, "5", "SaveState", key="nobody")
    t.check("no saved state" in missing["rpcMessage"]["error"], f"it is {missing}")


@scenario("state: AutoGen's host saves and loads the state of a Lua agent")
def by_autogen(t):
    save_and_load(t, t.autogen_host())


@scenario("state: troupe's host saves and loads the state of a Lua agent")
def by_troupe(t):
    save_and_load(t, t.host())
