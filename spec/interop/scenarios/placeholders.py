"""Placeholders where not everybody is troupe: the content goes by the caller, and nobody sees a difference."""

import json

from support.scenario import scenario


def passed(t, host, to):
    body = json.dumps({"from": "maker/m", "to": to, "text": "hello ü"})
    call = t.troupe("call", "lua/a", "Pass", body, "--host", host)
    t.equal((call.wait(), call.err), (0, []), f"passing on to {to}")
    return json.loads(call.out[0])


def check(t, host):
    t.worker(host, "twin.lua", "maker")
    t.worker(host, "twin.lua", "lua")
    t.worker(host, "twin.lua", "other")
    t.agent(host, "python")
    for to in ("python/b", "other/b"):
        text = f"hello ü, says {to.split('/')[0]}"
        t.equal(passed(t, host, to), {"text": text, "by": to, "again": text}, f"what came of {to}")


@scenario("placeholders: passed on to a Python and to a Lua agent through troupe's host")
def through_troupe(t):
    check(t, t.host())


@scenario("placeholders: passed on to a Python and to a Lua agent through AutoGen's host")
def through_autogen(t):
    check(t, t.autogen_host())
