"""The Python peers, seen from a scenario."""

import base64
import json
import os

from . import golang
from .environment import PYTHON, TOP
from .process import Failure, Process

PEERS = os.path.join(TOP, "spec", "interop", "peers")


class Peer(Process):
    """A program of peers/ in the virtual environment. Most of them write one JSON object a line: {"say": WHAT, …}."""

    def __init__(self, script: str, args: list[str], folder: str):
        self.records: list[dict] = []
        self._parsed = 0
        self._heard: set[int] = set()
        self.excused = False  # may its log hold a traceback?
        path = script if os.path.isabs(script) else os.path.join(PEERS, script)
        super().__init__(" ".join([os.path.basename(script), *args])[:100], [PYTHON, path, *args], folder)

    def _parse(self) -> None:
        while self._parsed < len(self.out):
            line = self.out[self._parsed]
            self._parsed += 1
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                self.records.append(record)

    def said(self, what: str, **where) -> list[dict]:
        """All records of that kind so far."""
        with self._changed:
            self._parse()
            return [r for r in self.records if r.get("say") == what and all(r.get(k) == v for k, v in where.items())]

    def hear(self, what: str, seconds: float = 10, **where) -> dict:
        """The first record of that kind with these members that was not heard before."""

        def look():
            self._parse()
            for index, record in enumerate(self.records):
                if (
                    index not in self._heard
                    and record.get("say") == what
                    and all(record.get(k) == v for k, v in where.items())
                ):
                    self._heard.add(index)
                    return record
            return None

        record = self._until(look, seconds)
        if not record:
            raise Failure(f"{self.name}: did not say {what!r} {where or ''} " + self._end_or_time(seconds))
        return record

    def tell(self, **command) -> None:
        self.write(json.dumps(command) + "\n")

    def complaint(self) -> str | None:
        if not self.excused and any("Traceback (most recent call last)" in line for line in self.err):
            return f"{self.name}: AutoGen's log has a traceback"
        return super().complaint()


class GoPeer(Peer):
    """spec/peers: a worker as .NET's is, or as Python's is, in Go. Commands are listed in its commands.go."""

    def __init__(self, kind: str, host: str, options: list[str], folder: str):
        self.records, self._parsed, self._heard, self.excused, self._next = [], 0, set(), False, 0
        command = [golang.tool("peers"), kind, host, *options]
        Process.__init__(self, " ".join(["peers", *command[1:]])[:100], command, folder)
        self.id = self.hear("ready")["client"]

    def start(self, do: str, **command) -> int:
        self._next += 1
        self.tell(id=self._next, do=do, **command)
        return self._next

    def finish(self, ticket: int, seconds: float = 10) -> dict:
        return self.hear("done", seconds, id=ticket)

    def do(self, do: str, **command) -> dict:
        """{"id", "seconds", …}, with "error" (and of a unary call "code") where it failed."""
        return self.finish(self.start(do, **command))

    def call(self, agent: str, **body) -> str:
        done = self.do("call", agent=agent, **body)
        if "error" in done:
            raise Failure(f"calling {agent}: {done['error']}")
        return done["text"]


class Client(Peer):
    """peers/client.py: a real AutoGen runtime that does what it is told, several things at once."""

    def __init__(self, host: str, options: list[str], folder: str):
        self._next = 0
        super().__init__("client.py", [host, *options], folder)
        self.hear("ready")

    def start(self, do: str, **command) -> int:
        self._next += 1
        self.tell(id=self._next, do=do, **command)
        return self._next

    def finish(self, ticket: int, seconds: float = 10) -> "Reply":
        return Reply(self.hear("done", seconds, id=ticket))

    def start_call(self, agent: str, type: str, /, **body) -> int:
        return self.start("call", agent=agent, type=type, body=body)

    def call(self, agent: str, type: str, /, **body) -> "Reply":
        return self.finish(self.start_call(agent, type, **body))

    def publish(self, topic: str, type: str, /, **body) -> None:
        reply = self.finish(self.start("publish", topic=topic, type=type, body=body))
        if reply.error is not None:
            raise Failure(f"publishing to {topic}: {reply.error}")

    def subscriptions(self) -> list[tuple[str, str, str]]:
        """What GetSubscriptions says: ("type" | "prefix", topic, agent type), sorted."""
        reply = self.finish(self.start("subscriptions"))
        if reply.error is not None:
            raise Failure(f"GetSubscriptions: {reply.error}")
        return sorted(tuple(row) for row in reply.body)


class Reply:
    """What became of a call: type and body, or the text of the exception that AutoGen raised; and how long it took."""

    def __init__(self, record: dict):
        self.type, self.body, self.error = record.get("type"), record.get("body"), record.get("error")
        self.exception, self.seconds = record.get("exception"), record["seconds"]

    def __repr__(self) -> str:
        return f"{self.type} {self.body}" if self.error is None else f"{self.exception}: {self.error}"


class Raw(Peer):
    """peers/raw.py: gRPC calls one by one, with any client-id, on the stubs that come with AutoGen."""

    def __init__(self, host: str, options: list[str], folder: str):
        self._next = 0
        super().__init__("raw.py", [host, *options], folder)
        self.hear("ready")

    def do(self, do: str, **command) -> dict:
        """{"code": "OK", "message": {…}}, or another code with its "text"."""
        self._next += 1
        self.tell(id=self._next, do=do, **command)
        return self.hear("done", id=self._next)

    def open(self, client: str, stream: str | None = None, channel: str = "OpenChannel") -> str:
        stream = stream or client
        done = self.do("open", client=client, stream=stream, channel=channel)
        if done["code"] != "OK":
            raise Failure(f"{channel} of {client}: {done}")
        return stream

    def register(self, client: str | None, type: str) -> dict:
        return self.do("RegisterAgent", client=client, message={"type": type})

    def subscribe(self, client: str | None, id: str, topic: str, agent_type: str) -> dict:
        subscription = {"id": id, "typeSubscription": {"topic_type": topic, "agent_type": agent_type}}
        return self.do("AddSubscription", client=client, message={"subscription": subscription})

    def subscriptions(self, client: str = "looker") -> list[dict]:
        done = self.do("GetSubscriptions", client=client, message={})
        if done["code"] != "OK":
            raise Failure(f"GetSubscriptions: {done}")
        return done["message"].get("subscriptions", [])

    def send(self, stream: str, message: dict) -> None:
        done = self.do("send", stream=stream, message=message)
        if done["code"] != "OK":
            raise Failure(f"sending on {stream}: {done}")

    def publish(self, stream: str, topic: str, data: str, source: str = "default") -> None:
        self.send(stream, {"cloudEvent": event(topic, data, source)})

    def message(self, stream: str, seconds: float = 5) -> dict:
        """The next message that came on this stream."""
        return self.hear("message", seconds, stream=stream)["message"]

    def messages(self, stream: str) -> list[dict]:
        return [record["message"] for record in self.said("message", stream=stream)]


def event(topic: str, text: str, source: str = "default") -> dict:
    """A CloudEvent as a Python worker publishes it, in protobuf's JSON form. The body is a Note."""
    body = base64.b64encode(json.dumps({"text": text}).encode()).decode()
    attributes = {
        "datacontenttype": "application/json",
        "dataschema": "Note",
        "agmsgkind": "publish",
        "agagentsendertype": "unknown",
        "agagentsenderkey": "unknown",
    }
    return {
        "id": f"event-{text[:40]}",
        "source": source,
        "spec_version": "1.0",
        "type": topic,
        "binary_data": body,
        "attributes": {name: {"ce_string": value} for name, value in attributes.items()},
    }


def text_of(cloud_event: dict) -> str:
    return json.loads(base64.b64decode(cloud_event["binary_data"]))["text"]
