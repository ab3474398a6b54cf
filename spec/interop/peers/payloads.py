"""Bodies of all three kinds between two real AutoGen workers: payloads.py HOST receive | payloads.py HOST send.

Each side says what it has as exact text, so that 1, 1.0 and True, -0.0 and 0.0, or two strings that look alike differ.
Requests are answered with the message itself, so that the reply has made the way back too.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from autogen_core import (
    PROTOBUF_DATA_CONTENT_TYPE,
    AgentId,
    MessageContext,
    RoutedAgent,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from autogen_ext.runtimes.grpc.protos.cloudevent_pb2 import CloudEvent
from common import say, teach
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from pydantic import BaseModel

TEXT = 'plain, "quoted", back\\slash, line\nbreak, tab\t, nul\x00, ä ß € 漢字 👩‍🚀 \u2028 \ufeff'
NESTED: Any = None
for _ in range(100):
    NESTED = {"list": [NESTED, [], {}], "": {"": None}}


@dataclass
class Flat:
    text: str
    nothing: Any
    yes: bool
    one: int
    numbers: list[Any]
    table: dict[str, Any]
    nested: Any


@dataclass
class Empty:
    pass


@dataclass
class Large:
    text: str


class Point(BaseModel):
    x: float
    y: int | None = None


class Tree(BaseModel):
    name: str
    points: list[Point]
    either: int | str | None
    children: list["Tree"] = []
    extra: dict[str, Any] = {}


NUMBERS = [
    0,
    -1,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**64 - 1,
    10**40,
    0.0,
    -0.0,
    0.1,
    1e-300,
    5e-324,
    1.7976931348623157e308,
]

DATACLASSES = [
    Flat(TEXT, None, True, 1, [*NUMBERS, float("inf"), float("nan")], {"": "", "ключ": [1, 1.0, True, None]}, NESTED),
    Empty(),
    Large("ü" * 650_000),  # 3.9 MB as \u00fc: just below the limit
]
MODELS = [
    Tree(name=TEXT, points=[Point(x=0.1, y=2**63 - 1), Point(x=-0.0)], either=None),
    Tree(
        name="",
        points=[],
        either="7",
        extra={"numbers": NUMBERS, "null": None, "": {"empty": [{}, []]}},
        children=[Tree(name="child", points=[Point(x=1e-300)], either=7)],
    ),
]


def protobufs() -> list[Message]:
    event = CloudEvent(id=TEXT, source="ключ", type="t", text_data="ü" * 1000)
    event.attributes["integer"].ce_integer = -(2**31)
    event.attributes["bytes"].ce_bytes = bytes(range(256))
    event.attributes["time"].ce_timestamp.FromNanoseconds(2**62 + 1)
    event.attributes["false"].ce_boolean = False
    struct = struct_pb2.Struct()
    struct.update({"text": TEXT, "null": None, "list": [1.5, True, {"deep": []}], "": -0.0})
    return [event, struct, CloudEvent()]


def exact(message: Any) -> str:
    if isinstance(message, Message):
        return message.SerializeToString(deterministic=True).hex()
    return repr(message)


def name(message: Any) -> str:
    return message.DESCRIPTOR.full_name if isinstance(message, Message) else type(message).__name__


class Receiver(RoutedAgent):
    def got(self, message: Any, ctx: MessageContext) -> Any:
        say("got", kind="request" if ctx.is_rpc else "event", type=name(message), exact=exact(message))
        return message

    @message_handler
    async def on_flat(self, message: Flat, ctx: MessageContext) -> Flat:
        return self.got(message, ctx)

    @message_handler
    async def on_empty(self, message: Empty, ctx: MessageContext) -> Empty:
        return self.got(message, ctx)

    @message_handler
    async def on_large(self, message: Large, ctx: MessageContext) -> Large:
        return self.got(message, ctx)

    @message_handler
    async def on_tree(self, message: Tree, ctx: MessageContext) -> Tree:
        return self.got(message, ctx)

    @message_handler
    async def on_event(self, message: CloudEvent, ctx: MessageContext) -> CloudEvent:
        return self.got(message, ctx)

    @message_handler
    async def on_struct(self, message: struct_pb2.Struct, ctx: MessageContext) -> struct_pb2.Struct:
        return self.got(message, ctx)


async def receive(runtime: GrpcWorkerAgentRuntime) -> None:
    await runtime.start()
    await Receiver.register(runtime, "receiver", lambda: Receiver("Says what it gets"))
    await runtime.add_subscription(TypeSubscription("payloads", "receiver"))
    say("ready")
    await runtime.stop_when_signal()


async def send(runtime: GrpcWorkerAgentRuntime, binary: GrpcWorkerAgentRuntime) -> None:
    for each in (runtime, binary):
        teach(each, [Flat, Empty, Large, Tree, CloudEvent, struct_pb2.Struct])
        await each.start()
    say("ready")
    for message in [*DATACLASSES, *MODELS]:
        await runtime.publish_message(message, TopicId("payloads", "here"))
        say("sent", kind="event", type=name(message), exact=exact(message))
    for message in protobufs():
        await binary.publish_message(message, TopicId("payloads", "here"))
        say("sent", kind="event", type=name(message), exact=exact(message))
    for message in [*DATACLASSES, *MODELS]:  # AutoGen's requests are always JSON
        say("sent", kind="request", type=name(message), exact=exact(message))
        reply = await runtime.send_message(message, AgentId("receiver", "here"))
        say("reply", kind="request", type=name(reply), exact=exact(reply))
    say("done")
    await asyncio.sleep(3600)


host, role = sys.argv[1:3]
if role == "receive":
    asyncio.run(receive(GrpcWorkerAgentRuntime(host)))
else:
    asyncio.run(
        send(
            GrpcWorkerAgentRuntime(host),
            GrpcWorkerAgentRuntime(host, payload_serialization_format=PROTOBUF_DATA_CONTENT_TYPE),
        )
    )
