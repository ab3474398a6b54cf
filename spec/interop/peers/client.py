"""A real AutoGen runtime without agents that does what it is told, several things at once: client.py HOST [--gzip].

Commands come as JSON lines with an `id`; each is answered by {"say": "done", "id": …, "seconds": …} and the reply's
type and body, or the exception's class and text.
"""

import asyncio
import dataclasses
import sys
import time
from typing import Any

import grpc
from autogen_core import AgentId, TopicId
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from autogen_ext.runtimes.grpc.protos import agent_worker_pb2
from common import channel_options, commands, say, teach
from messages import MESSAGES


def message(command: dict[str, Any]) -> Any:
    body = dict(command["body"])
    size = body.pop("size", None)  # a text of so many characters, made here
    if size is not None:
        body["text"] = "x" * size
    return MESSAGES[command["type"]](**body)


async def perform(runtime: GrpcWorkerAgentRuntime, command: dict[str, Any]) -> dict[str, Any]:
    match command["do"]:
        case "call":
            reply = await runtime.send_message(message(command), AgentId.from_str(command["agent"]))
            return {"type": type(reply).__name__, "body": body_of(reply)}
        case "publish":
            await runtime.publish_message(message(command), TopicId.from_str(command["topic"]))
        case "subscriptions":
            connection = runtime._host_connection
            request = agent_worker_pb2.GetSubscriptionsRequest()
            response = await connection.stub.GetSubscriptions(request, metadata=connection.metadata)
            return {"body": [row(subscription) for subscription in response.subscriptions]}
        case "stop":
            await runtime.stop()
    return {}


def body_of(reply: Any) -> Any:
    body = dataclasses.asdict(reply)
    return {name: repr(value) if isinstance(value, bytes) else value for name, value in body.items()}


def row(subscription: agent_worker_pb2.Subscription) -> list[str]:
    if subscription.HasField("typeSubscription"):
        return ["type", subscription.typeSubscription.topic_type, subscription.typeSubscription.agent_type]
    prefix = subscription.typePrefixSubscription
    return ["prefix", prefix.topic_type_prefix, prefix.agent_type]


async def answer(runtime: GrpcWorkerAgentRuntime, command: dict[str, Any]) -> None:
    started = time.monotonic()
    try:
        result = await perform(runtime, command)
    except grpc.aio.AioRpcError as problem:
        result = {"exception": "AioRpcError", "error": f"{problem.code().name}: {problem.details()}"}
    except Exception as problem:
        result = {"exception": type(problem).__name__, "error": str(problem)}
    say("done", id=command["id"], seconds=time.monotonic() - started, **result)


async def main(host: str) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=host, extra_grpc_config=channel_options(sys.argv))
    teach(runtime)
    await runtime.start()
    say("ready")
    tasks = set()
    async for command in commands():
        task = asyncio.create_task(answer(runtime, command))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main(sys.argv[1]))
