"""The agent of AutoGen's distributed runtime page, as it stands there: hello.py HOST TYPE.

It counts what it receives, and for the first five prints "worker1: Hello x 1" … and publishes that.
"""

import asyncio
import sys

from autogen_core import DefaultTopicId, MessageContext, RoutedAgent, default_subscription, message_handler
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from messages import Greeting


@default_subscription
class MyAgent(RoutedAgent):
    def __init__(self, name: str) -> None:
        super().__init__("My agent")
        self._name = name
        self._counter = 0

    @message_handler
    async def on_greeting(self, message: Greeting, ctx: MessageContext) -> None:
        self._counter += 1
        print(f"received {self._counter}: {message.content}", flush=True)
        if self._counter > 5:
            return
        content = f"{self._name}: Hello x {self._counter}"
        print(content, flush=True)
        await self.publish_message(Greeting(content=content), DefaultTopicId())


async def main(host: str, name: str) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=host)
    await runtime.start()
    await MyAgent.register(runtime, name, lambda: MyAgent(name))
    print("ready", flush=True)
    await runtime.stop_when_signal()
    print("stopped", flush=True)


asyncio.run(main(*sys.argv[1:3]))
