"""A real AutoGen worker that knows shop.Order: orders.py HOST TYPE json|protobuf [TOPIC…]. What it is told, it publishes.

With `protobuf` the messages are protobuf's classes, made of the descriptor set of examples/protobuf; with `json` dataclasses of the same
fields, by the bare names that dataclasses have."""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Any

from autogen_core import JSON_DATA_CONTENT_TYPE, PROTOBUF_DATA_CONTENT_TYPE, MessageContext, RoutedAgent, TopicId
from autogen_core import TypeSubscription, message_handler
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from common import commands, say, teach
from google.protobuf import descriptor_pb2, json_format, message_factory

HOST, NAME, KIND, *TOPICS = sys.argv[1:]
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")


@dataclass
class Done:
    id: str
    items: int


def protobuf_classes() -> dict[str, Any]:
    with open(os.path.join(TOP, "examples", "protobuf", "order.desc"), "rb") as file:
        return message_factory.GetMessages(descriptor_pb2.FileDescriptorSet.FromString(file.read()).file)


if KIND == "protobuf":
    Order = protobuf_classes()["shop.Order"]
else:

    @dataclass
    class Order:  # type: ignore[no-redef]
        id: str
        lines: list[dict[str, Any]]
        notes: dict[str, str]


def told(order: Any) -> dict[str, Any]:
    if KIND == "json":
        return {"id": order.id, "lines": order.lines, "notes": order.notes}
    return json_format.MessageToDict(order, always_print_fields_with_no_presence=True)


class Clerk(RoutedAgent):
    @message_handler
    async def order(self, message: Order, ctx: MessageContext) -> Done:  # type: ignore[valid-type]
        say("order", request=ctx.is_rpc, sender=str(ctx.sender or ""), **told(message))
        lines = message.lines if KIND == "protobuf" else [type("L", (), line) for line in message.lines]
        return Done(message.id, sum(line.count for line in lines))


async def main() -> None:
    format = PROTOBUF_DATA_CONTENT_TYPE if KIND == "protobuf" else JSON_DATA_CONTENT_TYPE
    runtime = GrpcWorkerAgentRuntime(HOST, payload_serialization_format=format)
    teach(runtime, [Order, Done])
    await runtime.start()
    await Clerk.register(runtime, NAME, lambda: Clerk("Knows orders"))
    for topic in TOPICS:
        await runtime.add_subscription(TypeSubscription(topic, NAME))
    say("ready")
    async for command in commands():
        order = json_format.ParseDict(command["order"], Order()) if KIND == "protobuf" else Order(**command["order"])
        await runtime.publish_message(order, TopicId(command["topic"], "here"))
        say("published")


asyncio.run(main())
