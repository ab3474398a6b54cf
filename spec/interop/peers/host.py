"""AutoGen's own host: host.py ADDRESS. Prints "listening ADDRESS" once it accepts connections."""

import asyncio
import sys

from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost


async def main(address: str) -> None:
    host = GrpcWorkerAgentRuntimeHost(address=address)
    host.start()
    if address.startswith("unix:"):
        await asyncio.sleep(0.2)
    else:
        name, port = address.rsplit(":", 1)
        while True:
            try:
                _, writer = await asyncio.open_connection(name, int(port))
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.02)
    print(f"listening {address}", flush=True)
    await host.stop_when_signal(grace=1)


asyncio.run(main(sys.argv[1]))
