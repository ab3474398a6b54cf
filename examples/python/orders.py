"""An AutoGen agent in Python that speaks protobuf, on a troupe host. In three shells:

    troupe host --listen 127.0.0.1:50051
    pip install "autogen-ext[grpc]==0.7.5" && python orders.py 127.0.0.1:50051 ../protobuf/order.desc
    troupe publish orders shop.Order '{"id":"o1"}' --protobuf ../protobuf/order.desc --host 127.0.0.1:50051

It prints each order that is published to the topic `orders`, and publishes a receipt to `receipts`.
"""

import asyncio
import sys

from autogen_core import PROTOBUF_DATA_CONTENT_TYPE, DefaultTopicId, MessageContext, RoutedAgent, TypeSubscription
from autogen_core import message_handler, try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from google.protobuf import descriptor_pb2, message_factory

FILES = descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[2], "rb").read())
CLASSES = message_factory.GetMessages(FILES.file)
Order, Receipt = CLASSES["shop.Order"], CLASSES["shop.Receipt"]  # or: from order_pb2 import Order, Receipt


class Clerk(RoutedAgent):
    @message_handler
    async def order(self, message: Order, ctx: MessageContext) -> None:
        items = sum(line.count for line in message.lines)
        print(f"order {message.id}: {items} items, {dict(message.notes)}", flush=True)
        await self.publish_message(Receipt(id=message.id, items=items, state=1), DefaultTopicId("receipts"))


async def main(address: str) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=address, payload_serialization_format=PROTOBUF_DATA_CONTENT_TYPE)
    runtime.add_message_serializer(try_get_known_serializers_for_type(Receipt))
    await runtime.start()
    await Clerk.register(runtime, "pyclerk", lambda: Clerk("Takes orders"))
    await runtime.add_subscription(TypeSubscription("orders", "pyclerk"))
    print(f"joined {address}: pyclerk", flush=True)
    await runtime.stop_when_signal()


asyncio.run(main(sys.argv[1]))
