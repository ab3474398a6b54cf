"""The messages that the scenarios send; agents/*.lua speak the same ones."""

from dataclasses import dataclass


@dataclass
class Greeting:  # of the demo
    content: str


@dataclass
class Note:  # an event
    text: str


@dataclass
class Ask:  # → Answer
    text: str


@dataclass
class Answer:
    text: str
    by: str  # the agent that answered
    sender: str = ""  # whom it saw asking


@dataclass
class Forward:  # → what agent `to` answers to a `type` of this text, as Answer; or Failed
    to: str
    type: str
    text: str


@dataclass
class Failed:
    code: str
    text: str


@dataclass
class Announce:  # an agent publishes a Note to this topic → Answer
    topic: str
    text: str


@dataclass
class Fail:  # the handler raises this text
    text: str


@dataclass
class Slow:  # → Answer, after so many seconds
    seconds: float


@dataclass
class Quiet:  # its handler gives no reply (in Lua only: AutoGen's caller would hang)
    text: str


@dataclass
class Strange:  # nobody handles it
    text: str


@dataclass
class Square:  # → Squared, after so many seconds
    number: int
    caller: str
    wait: float


@dataclass
class Squared:
    number: int
    square: int
    caller: str


MESSAGES = {
    cls.__name__: cls
    for cls in (Greeting, Note, Ask, Answer, Forward, Failed, Announce, Fail, Slow, Quiet, Strange, Square, Squared)
}
