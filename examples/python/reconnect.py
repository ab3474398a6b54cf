"""A runtime for AutoGen's Python workers that outlives its host: use it where you use GrpcWorkerAgentRuntime.

    from reconnect import ReconnectingRuntime
    runtime = ReconnectingRuntime("127.0.0.1:50051")

When the stream to the host ends it dials again, later and later up to 5 s, and registers all again. Open requests fail with ConnectionError,
events that are published meanwhile wait. AutoGen's own runtime (0.7.5) stays deaf, and its requests wait for ever. Towards a troupe host
give extra_grpc_config=[("grpc.keepalive_time_ms", 20000)], so that a dead link is noticed too; AutoGen's host takes such pings amiss.
"""

import asyncio
import random

import grpc
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from autogen_ext.runtimes.grpc._utils import subscription_to_proto
from autogen_ext.runtimes.grpc._worker_runtime import HostConnection
from autogen_ext.runtimes.grpc.protos import agent_worker_pb2 as pb


class ReconnectingRuntime(GrpcWorkerAgentRuntime):
    async def start(self) -> None:
        await super().start()
        self._watch = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        self._watch.cancel()
        if self._host_connection._connection_task.done():  # between two hosts there is nothing to close
            self._host_connection._connection_task = asyncio.create_task(asyncio.sleep(0))
        await super().stop()

    async def _keep_connected(self) -> None:
        while True:
            await asyncio.gather(self._host_connection._connection_task, return_exceptions=True)
            self._fail_requests()
            delay = 0.05
            while not await self._join_again():
                await asyncio.sleep(delay * random.uniform(0.5, 1))
                delay = min(delay * 2, 5)

    def _fail_requests(self) -> None:
        old = self._host_connection  # whose stream still takes what comes into its queue, to nowhere
        old._send_queue = asyncio.Queue()
        waiting, self._pending_requests = self._pending_requests, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("unavailable: the connection to the host was lost"))

    async def _join_again(self) -> bool:
        old, new = self._host_connection, None
        try:
            new = await HostConnection.from_host_address(self._host_address, extra_grpc_config=self._extra_grpc_config)
            for name in self._agent_factories:
                await new.stub.RegisterAgent(pb.RegisterAgentTypeRequest(type=name), metadata=new.metadata)
            for subscription in self._subscription_manager.subscriptions:
                request = pb.AddSubscriptionRequest(subscription=subscription_to_proto(subscription))
                await new.stub.AddSubscription(request, metadata=new.metadata)
        except grpc.aio.AioRpcError:
            if new:
                await new._channel.close()
            return False
        self._host_connection = new
        while not old._send_queue.empty():  # what was made since; but answers belong to the stream that is gone
            message = old._send_queue.get_nowait()
            if message.WhichOneof("message") != "response":
                await new.send(message)
        self._read_task.cancel()  # it waits for the old connection
        self._read_task = asyncio.create_task(self._run_read_loop())
        await old._channel.close()
        return True
