"""A real AutoGen runtime with many calls open at once: many.py HOST CALLER FIRST COUNT AGENT-TYPE HOLD.

It asks for the squares of FIRST, FIRST + 1, … under the request ids "1", "2", …, as every such runtime numbers them,
and begins when a line comes on standard input. The calls go to eight instances; the first call to each of them is told
to take HOLD seconds, so that all are open before any is answered.
"""

import asyncio
import sys
import time

from autogen_core import AgentId
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from common import commands, say, teach
from messages import Square, Squared


async def main(host: str, caller: str, first: int, count: int, agent_type: str, hold: float) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=host)
    teach(runtime)
    await runtime.start()
    say("ready")
    async for _ in commands():
        break
    wrong: list[str] = []
    answered: list[float] = []

    async def ask(index: int) -> None:
        number = first + index
        wait = hold if index < 8 else index % 5 * 0.002
        call = runtime.send_message(Square(number, caller, wait), AgentId(agent_type, f"key{index % 8}"))
        try:
            reply = await asyncio.wait_for(call, 10 + hold)
        except Exception as problem:
            reply = f"{type(problem).__name__} {problem}"
        answered.append(time.monotonic())
        if reply != Squared(number=number, square=number**2, caller=caller):
            wrong.append(f"{number}: {reply}")

    calls = [asyncio.create_task(ask(index)) for index in range(count)]
    while runtime._next_request_id < count or not runtime._host_connection._send_queue.empty():
        await asyncio.sleep(0.005)
    sent = time.monotonic()  # the clock of the whole machine
    await asyncio.gather(*calls)
    say(
        "result",
        wrong=wrong[:10],
        right=count - len(wrong),
        last_id=runtime._next_request_id,
        sent=sent,
        answered=min(answered),
    )
    await runtime.stop()


host, caller, first, count, agent_type, hold = sys.argv[1:]
asyncio.run(main(host, caller, int(first), int(count), agent_type, float(hold)))
