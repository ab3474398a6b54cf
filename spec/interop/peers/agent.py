"""A real AutoGen worker with one agent: agent.py HOST TYPE [TOPIC…] [--gzip]. agents/twin.lua is its twin in Lua."""

import asyncio
import sys

from autogen_core import (
    AgentId,
    DefaultTopicId,
    MessageContext,
    RoutedAgent,
    TypeSubscription,
    message_handler,
)
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from common import channel_options, plain, say, teach
from messages import MESSAGES, Announce, Answer, Ask, Fail, Failed, Forward, Note, Slow, Square, Squared


class Twin(RoutedAgent):
    def answer(self, text: str, ctx: MessageContext) -> Answer:
        return Answer(text=text, by=str(self.id), sender=str(ctx.sender or ""))

    @message_handler
    async def on_note(self, message: Note, ctx: MessageContext) -> None:
        say(
            "note",
            by=str(self.id),
            topic=str(ctx.topic_id),
            sender=str(ctx.sender or ""),
            text=message.text,
            length=len(message.text),
        )

    @message_handler
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Answer:
        return self.answer(f"{message.text}, says {self.id.type}", ctx)

    @message_handler
    async def on_forward(self, message: Forward, ctx: MessageContext) -> Answer | Failed:
        try:
            reply = await self.send_message(MESSAGES[message.type](message.text), AgentId.from_str(message.to))
        except Exception as problem:
            return Failed(code="", text=str(problem))
        return reply

    @message_handler
    async def on_announce(self, message: Announce, ctx: MessageContext) -> Answer:
        await self.publish_message(Note(message.text), DefaultTopicId(type=message.topic))
        return self.answer("announced", ctx)

    @message_handler
    async def on_fail(self, message: Fail, ctx: MessageContext) -> Answer:
        raise ValueError(message.text)

    @message_handler
    async def on_slow(self, message: Slow, ctx: MessageContext) -> Answer:
        say("slow", seconds=message.seconds)
        await asyncio.sleep(message.seconds)
        return self.answer("at last", ctx)

    @message_handler
    async def on_square(self, message: Square, ctx: MessageContext) -> Squared:
        await asyncio.sleep(message.wait)
        return Squared(number=message.number, square=message.number**2, caller=message.caller)


async def main(host: str, name: str, *topics: str) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=host, extra_grpc_config=channel_options(sys.argv))
    teach(runtime)
    await runtime.start()
    await Twin.register(runtime, name, lambda: Twin("The twin of agents/twin.lua"))
    for topic in topics:
        await runtime.add_subscription(TypeSubscription(topic, name))
    say("ready")
    await runtime.stop_when_signal()
    say("stopped")


asyncio.run(main(*plain(sys.argv[1:])))
