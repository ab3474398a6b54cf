"""What tools that know nothing of troupe find out by themselves: grpcurl, by reflection and by the health service."""

import json
import subprocess

from support import golang
from support.process import Failure
from support.scenario import scenario


def grpcurl(host, *words, options=()):
    command = [golang.tool("grpcurl"), "-plaintext", "-max-time", "10", *options, host, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise Failure(f"grpcurl {words}: {done.stderr.strip()}")
    return done.stdout


def call(host, method, request=None, client=None):
    options = ["-rpc-header", f"client-id: {client}"] if client else []
    return json.loads(grpcurl(host, method, options=[*options, "-d", json.dumps(request or {})]))


@scenario("grpcurl: lists and describes the services by reflection")
def reflection(t):
    host = t.host()
    services = ["agents.AgentRpc", "grpc.health.v1.Health"]
    services += [f"grpc.reflection.{version}.ServerReflection" for version in ("v1", "v1alpha")]
    t.equal(grpcurl(host, "list").split(), services, "the services")
    for what, line in (("agents.RpcRequest", "map<string, string> metadata = 6"), ("agents.AgentRpc", "rpc OpenChannel")):
        described = grpcurl(host, "describe", what)
        t.check(line in described, f"{what}: {described}")


@scenario("grpcurl: calls the unary methods by reflection alone")
def calls(t):
    host = t.host()
    t.equal(call(host, "agents.AgentRpc/RegisterAgent", {"type": "t"}, "A"), {}, "RegisterAgent")
    subscription = {"id": "1", "typeSubscription": {"topicType": "news", "agentType": "t"}}
    t.equal(call(host, "agents.AgentRpc/AddSubscription", {"subscription": subscription}, "A"), {}, "AddSubscription")
    all = call(host, "agents.AgentRpc/GetSubscriptions", client="A")
    t.equal(all, {"subscriptions": [subscription]}, "GetSubscriptions")


@scenario("grpcurl: the health service answers probes")
def health(t):
    host = t.host()
    for service in ("", "agents.AgentRpc"):
        t.equal(call(host, "grpc.health.v1.Health/Check", {"service": service}), {"status": "SERVING"}, service or "all")
    try:
        call(host, "grpc.health.v1.Health/Check", {"service": "none"})
    except Failure as failure:
        t.check("NotFound" in str(failure), f"an unknown service: {failure}")
    else:
        t.check(False, "an unknown service was found")
