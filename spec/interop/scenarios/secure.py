"""Real AutoGen workers, which speak only plaintext and can show nothing but a user-agent, and a host with TLS, tokens and rights."""

import json
import os

from support.scenario import scenario

TOKENS = {"tunnel": "tunnel-token-0123456789", "mine": "python-token-0123456789"}
RIGHTS = """
[token:tunnel]
register = python
subscribe = notes
[token:mine]
register = mine
subscribe = notes
[uid:*]
call = *
publish = notes
"""


def written(t, name: str, text: str) -> str:
    path = os.path.join(t.folder, name)
    with open(path, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(text)
    return path


def secure_host(t):
    """A host's three addresses: TLS, a Unix socket, loopback; and whom to believe."""
    t.equal(t.troupe("cert", "--folder", t.folder, "host").wait(), 0, "troupe cert")
    unix = "unix:" + os.path.join(t.folder, "s")
    tokens = written(t, "tokens", "".join(f"{name} {token}\n" for name, token in TOKENS.items()))
    options = ["--tokens", tokens, "--rights", written(t, "rights", RIGHTS)]
    for name, file in (("--tls-cert", "host.pem"), ("--tls-key", "host.key")):
        options += [name, os.path.join(t.folder, file)]
    host = t.troupe("host", "--listen", "tls:127.0.0.1:0", "--listen", unix, "--listen", "127.0.0.1:0", *options)
    tls, unix, plain = (host.wait_line(r"listening (\S+)$")[1] for _ in range(3))
    return tls, unix, plain, os.path.join(t.folder, "ca.pem")


def ask(t, unix: str, agent: str) -> str:
    call = t.troupe("call", f"{agent}/a", "Ask", '{"text": "hello"}', "--host", unix)
    t.equal(call.wait(), 0, f"the status of a call of {agent}")
    return json.loads("\n".join(call.out))["text"]


@scenario("security: Python workers join a host with TLS by a tunnel")
def by_tunnel(t):
    tls, unix, _, ca = secure_host(t)
    token = written(t, "token", TOKENS["tunnel"])
    tunnel = t.troupe("tunnel", "--listen", "127.0.0.1:0", "--host", tls, "--tls-ca", ca, "--token-file", token)
    here = tunnel.wait_line(r"listening (\S+)$")[1]
    python = t.agent(here, "python", "notes")
    t.equal(ask(t, unix, "python"), "hello, says python", "the answer through the tunnel")
    publish = t.troupe("publish", "notes/here", "Note", '{"text": "hi"}', "--host", unix)
    t.equal(publish.wait(), 0, "the status of troupe publish")
    t.equal(python.hear("note")["text"], "hi", "what the Python agent heard")


@scenario("security: a Python worker shows a token in its user-agent")
def by_user_agent(t):
    _, unix, plain, _ = secure_host(t)
    t.agent(plain, "mine", "notes", options=("--token=" + TOKENS["mine"],))
    t.equal(ask(t, unix, "mine"), "hello, says mine", "the answer")
