"""An AutoGen worker on examples/python/reconnect.py: lasting.py HOST TYPE TOPIC. Answers Ask, says what it hears, and does what it is told:
{"ask": AGENT, "wait": SECONDS} says the answer or the error, {"publish": TOPIC, "text": TEXT}."""

import asyncio
import os
import sys

from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, TypeSubscription, message_handler
from common import commands, say, teach
from messages import Answer, Ask, Note, Slow

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples", "python"))
from reconnect import ReconnectingRuntime  # noqa: E402

HOST, NAME, TOPIC = sys.argv[1:]


class Lasting(RoutedAgent):
    @message_handler
    async def ask(self, message: Ask, ctx: MessageContext) -> Answer:
        return Answer(f"{message.text}, says {NAME}", str(self.id), str(ctx.sender or ""))

    @message_handler
    async def note(self, message: Note, ctx: MessageContext) -> None:
        say("note", text=message.text)


async def main() -> None:
    runtime = ReconnectingRuntime(HOST)
    teach(runtime, [Ask, Answer, Note, Slow])
    await runtime.start()
    await Lasting.register(runtime, NAME, lambda: Lasting("Lasts"))
    await runtime.add_subscription(TypeSubscription(TOPIC, NAME))
    say("ready")

    async def ask(agent: str, wait: float) -> None:
        try:
            reply = await runtime.send_message(Slow(wait) if wait else Ask("hello"), AgentId.from_str(agent))
            say("answer", text=reply.text)
        except Exception as e:
            say("error", text=f"{type(e).__name__}: {e}")

    asking = set()
    async for command in commands():
        if "ask" in command:
            asking.add(asyncio.create_task(ask(command["ask"], command.get("wait", 0))))
        else:
            await runtime.publish_message(Note(command["text"]), TopicId(command["publish"], "here"))
    await runtime.stop()


asyncio.run(main())
