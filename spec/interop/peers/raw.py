"""gRPC calls one by one, with any client-id, on the stubs that come with AutoGen: raw.py HOST.

Commands come as JSON lines with an `id`; each is answered by {"say": "done", "id": …, "code": …}. What arrives on an
open stream is said as {"say": "message", "stream": …}, its end as {"say": "end", "stream": …, "code": …}. Messages are
in protobuf's JSON form with the names of the schema.
"""

import asyncio
import sys
from typing import Any

import grpc
from autogen_ext.runtimes.grpc.protos import agent_worker_pb2 as pb
from common import channel_options, commands, say
from google.protobuf.json_format import MessageToDict, ParseDict

UNARY = {
    "RegisterAgent": (pb.RegisterAgentTypeRequest, pb.RegisterAgentTypeResponse),
    "AddSubscription": (pb.AddSubscriptionRequest, pb.AddSubscriptionResponse),
    "RemoveSubscription": (pb.RemoveSubscriptionRequest, pb.RemoveSubscriptionResponse),
    "GetSubscriptions": (pb.GetSubscriptionsRequest, pb.GetSubscriptionsResponse),
}
STREAM = {"OpenChannel": pb.Message, "OpenControlChannel": pb.ControlMessage}


def metadata(client: str | None) -> list[tuple[str, str]]:
    return [] if client is None else [("client-id", client)]


class Raw:
    def __init__(self, host: str) -> None:
        self.channel = grpc.aio.insecure_channel(host, options=channel_options(sys.argv))
        self.streams: dict[str, Any] = {}
        self.types: dict[str, Any] = {}
        self.readers: set[asyncio.Task[None]] = set()

    async def unary(self, method: str, client: str | None, message: dict[str, Any]) -> dict[str, Any]:
        request, response = UNARY[method]
        call = self.channel.unary_unary(
            f"/agents.AgentRpc/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        answer = await call(ParseDict(message, request()), metadata=metadata(client), timeout=10)
        return {"message": MessageToDict(answer, preserving_proto_field_name=True)}

    async def open(self, channel: str, client: str | None, stream: str) -> dict[str, Any]:
        # Bytes in and out: a message is compared as it came.
        call = self.channel.stream_stream(f"/agents.AgentRpc/{channel}")(metadata=metadata(client))
        self.streams[stream], self.types[stream] = call, STREAM[channel]
        reader = asyncio.create_task(self.read(stream, call))
        self.readers.add(reader)
        reader.add_done_callback(self.readers.discard)
        await asyncio.wait_for(call.wait_for_connection(), 2)  # it may wait for ever where the call was refused
        return {}

    async def read(self, stream: str, call: Any) -> None:
        try:
            while (data := await call.read()) != grpc.aio.EOF:
                message = MessageToDict(self.types[stream].FromString(data), preserving_proto_field_name=True)
                say("message", stream=stream, message=message, hex=data.hex() if len(data) < 10000 else "")
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            pass
        code = await call.code()
        say("end", stream=stream, code=code.name, text=await call.details())

    async def perform(self, command: dict[str, Any]) -> dict[str, Any]:
        do, stream = command["do"], command.get("stream", "")
        if do in UNARY:
            return await self.unary(do, command["client"], command["message"])
        if do == "open":
            return await self.open(command["channel"], command["client"], stream)
        call = self.streams[stream]
        if do == "headers":  # of the response, within a second
            await asyncio.wait_for(call.initial_metadata(), 1)
        elif do == "send":
            if "hex" in command:
                data = bytes.fromhex(command["hex"])
            else:
                data = ParseDict(command["message"], self.types[stream]()).SerializeToString()
            await call.write(data)
        elif do == "half-close":
            await call.done_writing()
        elif do == "cancel":
            call.cancel()
        else:
            raise ValueError(f"unknown command {do}")
        return {}


async def answer(raw: Raw, command: dict[str, Any]) -> None:
    try:
        result = {"code": "OK", **await raw.perform(command)}
    except grpc.aio.AioRpcError as problem:
        result = {"code": problem.code().name, "text": problem.details()}
    except Exception as problem:
        result = {"code": type(problem).__name__, "text": str(problem)}
    say("done", id=command["id"], **result)


async def main(host: str) -> None:
    raw = Raw(host)
    say("ready")
    async for command in commands():
        await answer(raw, command)  # in the order given


asyncio.run(main(sys.argv[1]))
