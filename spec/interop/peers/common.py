"""What the peers share: saying things as JSON lines, and a runtime that knows all messages."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

from autogen_core import try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from messages import MESSAGES


def say(what: str, **fields: Any) -> None:
    print(json.dumps({"say": what, **fields}), flush=True)


async def commands() -> AsyncIterator[dict[str, Any]]:
    """The JSON objects that come on standard input, a line each."""
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def teach(runtime: GrpcWorkerAgentRuntime, types: Iterable[type] = MESSAGES.values()) -> None:
    for cls in types:
        runtime.add_message_serializer(try_get_known_serializers_for_type(cls))


def channel_options(words: list[str]) -> list[tuple[str, Any]]:
    """--gzip compresses what this peer sends, --token=TOKEN is shown; its own sends are never limited."""
    options: list[tuple[str, Any]] = [("grpc.max_send_message_length", -1)]
    if "--gzip" in words:
        options.append(("grpc.default_compression_algorithm", 2))
    options += [("grpc.primary_user_agent", "troupe-token/" + word[8:]) for word in words if word.startswith("--token=")]
    return options


def plain(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("--")]
