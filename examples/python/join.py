"""An AutoGen agent in Python that joins a troupe host. In three shells:

    troupe host --listen 127.0.0.1:50051
    pip install "autogen-ext[grpc]==0.7.5" && python join.py 127.0.0.1:50051
    troupe call python Greeting '{"content":"Hello"}' --host 127.0.0.1:50051

A greeting comes back; one that is published to the topic `default` is printed.
"""

import asyncio
import sys
from dataclasses import dataclass

from autogen_core import MessageContext, RoutedAgent, default_subscription, message_handler
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime


@dataclass
class Greeting:
    content: str


@default_subscription
class Greeter(RoutedAgent):
    @message_handler
    async def greet(self, message: Greeting, ctx: MessageContext) -> Greeting:
        print(f"{self.id}: {message.content}", flush=True)
        return Greeting(f"{message.content} from Python")


async def main(address: str) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=address)
    await runtime.start()
    await Greeter.register(runtime, "python", lambda: Greeter("Greets back"))
    print(f"joined {address}: python", flush=True)
    await runtime.stop_when_signal()


asyncio.run(main(sys.argv[1]))
