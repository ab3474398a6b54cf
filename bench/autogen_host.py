"""autogen_host.py: AutoGen's own Python host, for bench/run to measure beside this project's.

Prints `listening 127.0.0.1:PORT` when it serves, and ends on SIGTERM."""
import asyncio
import logging
import socket
import sys

from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost


async def main() -> None:
    logging.disable(logging.CRITICAL)  # it logs what it cannot deliver; that is no part of the work
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    host = GrpcWorkerAgentRuntimeHost(sys.argv[1] if len(sys.argv) > 1 else address)
    host.start()
    print("listening", sys.argv[1] if len(sys.argv) > 1 else address, flush=True)
    await host.stop_when_signal(grace=0)


asyncio.run(main())
