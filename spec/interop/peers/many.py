"""A real AutoGen runtime with many calls open at once: many.py HOST CALLER COUNT AGENT-TYPE.

Its request ids are "1", "2", … as in every such runtime. It begins when a line comes on standard input.
"""
import asyncio
import sys

from autogen_core import AgentId
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from common import commands, say, teach
from messages import Square, Squared


async def main(host: str, caller: str, count: str, agent_type: str) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=host)
    teach(runtime)
    await runtime.start()
    say("ready")
    async for _ in commands():
        break
    wrong: list[str] = []

    async def ask(number: int) -> bool:
        # Another number for each caller under the same request id, and eight instances that answer out of turn.
        number += 1000 * len(caller)
        expected = Squared(number=number, square=number**2, caller=caller)
        try:
            call = runtime.send_message(Square(number, caller), AgentId(agent_type, f"key{number % 8}"))
            reply = await asyncio.wait_for(call, 15)
        except Exception as problem:
            reply = f"{type(problem).__name__} {problem}"
        if reply != expected:
            wrong.append(f"{number}: {reply}")
        return reply == expected

    answers = await asyncio.gather(*(ask(number) for number in range(int(count))))
    last = runtime._next_request_id
    say("result", right=sum(answers), wrong=wrong[:10], first_id="1", last_id=str(last))
    await runtime.stop()


asyncio.run(main(*sys.argv[1:5]))
