"""The rows of bench/runtime in AutoGen's in-process runtime (SingleThreadedAgentRuntime): one row a run, a line of JSON, nothing where there
is no such row. Numbers of operations are small, since each takes some hundred microseconds."""
import asyncio
import json
import logging
import sys
import time
from dataclasses import dataclass

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, TopicId, TypeSubscription, message_handler

logging.disable(logging.CRITICAL)


@dataclass
class Ask:
    a: int
    b: str
    c: bool


@dataclass
class Note:
    a: int
    b: str
    c: bool


@dataclass
class Wake:
    n: int


@dataclass
class Run:
    what: str
    n: int


class Echo(RoutedAgent):
    @message_handler
    async def ask(self, message: Ask, ctx: MessageContext) -> Ask:
        return Ask(message.a, message.b, message.c)


class Ear(RoutedAgent):
    heard = 0

    @message_handler
    async def note(self, message: Note, ctx: MessageContext) -> None:
        Ear.heard += 1


class Leaf(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("leaf")
        self.count = 0

    @message_handler
    async def wake(self, message: Wake, ctx: MessageContext) -> None:
        self.count = 1


class Caller(RoutedAgent):
    @message_handler
    async def run(self, message: Run, ctx: MessageContext) -> None:
        for i in range(message.n):
            if message.what == "call":
                await self.send_message(Ask(i, "text", True), AgentId("echo", self.id.key))
            elif message.what == "publish":
                await self.publish_message(Note(i, "text", True), TopicId("news", "default"))
            else:
                await self.send_message(Wake(i), AgentId("leaf", str(i)))


async def runtime_with_agents() -> SingleThreadedAgentRuntime:
    runtime = SingleThreadedAgentRuntime()
    await Echo.register(runtime, "echo", lambda: Echo("echo"))
    await Caller.register(runtime, "caller", lambda: Caller("caller"))
    await Leaf.register(runtime, "leaf", Leaf)
    for i in range(100):
        await Ear.register(runtime, f"ear{i}", lambda: Ear("ear"))
        await runtime.add_subscription(TypeSubscription("news", f"ear{i}"))
    runtime.start()
    return runtime


def rss() -> int:
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * 4096


async def timed(what: str, n: int, operations: int, callers: int = 1) -> dict:
    runtime = await runtime_with_agents()
    await runtime.send_message(Run(what, 10), AgentId("caller", "0"))
    cpu, wall, memory = time.process_time(), time.monotonic(), rss()
    await asyncio.gather(*(runtime.send_message(Run(what, n // callers), AgentId("caller", str(i))) for i in range(callers)))
    await runtime.stop_when_idle()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    return {"cpu_us": cpu * 1e6 / operations, "rate": operations / wall, "bytes": (rss() - memory) / operations}


def main() -> None:
    rows = {
        "call": lambda: timed("call", 3000, 3000), "pairs": lambda: timed("call", 3000, 3000, callers=8),
        "publish": lambda: timed("publish", 100, 10000), "spawn": lambda: timed("spawn", 3000, 3000),
        "idle-10k": lambda: timed("spawn", 10000, 10000),
    }
    if sys.argv[1] in rows:
        result = asyncio.run(rows[sys.argv[1]]())
        wanted = ["bytes"] if sys.argv[1].startswith("idle") else ["cpu_us", "rate"]
        print(json.dumps({key: result[key] for key in wanted}))


main()
