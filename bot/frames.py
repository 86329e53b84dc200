"""The protocol: what clients may send, as pydantic models, and the frames they are sent, as bytes.

Version 1. One JSON object a text frame, with `type`; commands carry an `id` (a UUID) and get `ok {re}` or `error {re}`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bot.errors import CommandError
from cards.model import Id, Model
from cards.proposal import Change
from cards.texts import Locale

PROTOCOL = 1

ConversationId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Seq = Annotated[int, Field(ge=0, lt=2**53)]
CommandUuid = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$")
]
"""A UUID (RFC 9562), kept as it was written: `re` must be what the client knows its command by."""


class Hello(Model):
    """The first frame: who I am, and the last seq I have of each conversation."""

    type: Literal["hello"]
    token: str
    protocol: int
    cursors: Mapping[ConversationId, Seq] = {}
    locale: Locale = Locale.ZH_CN


class _Command(Model):
    id: CommandUuid


class Open(_Command):
    """An agent opens (or takes) the conversation with a buyer."""

    type: Literal["open"]
    buyer_id: Id


class _InConversation(_Command):
    conversation_id: ConversationId


class Say(_InConversation):
    """A text message."""

    type: Literal["say"]
    text: Text


class Orders(_InConversation):
    """The buyer's orders (个人订单)."""

    type: Literal["orders"]


class Quote(_InConversation):
    """What each SKU of each line of an order would mean."""

    type: Literal["quote"]
    order_id: Id


class Propose(_InConversation):
    """The agent asks the buyer for a change of whole lines of one order."""

    type: Literal["propose"]
    order_id: Id
    changes: Annotated[tuple[Change, ...], Field(min_length=1, max_length=50)]
    waive_difference: bool = False


class Answer(_InConversation):
    """The buyer's click, on the card as they saw it (`version`)."""

    type: Literal["answer"]
    proposal_id: Id
    version: Annotated[int, Field(ge=1, lt=2**53)]
    action: Literal["agree", "reject"]
    comment: Text | None = None


class Withdraw(_InConversation):
    """The agent takes a waiting card back."""

    type: Literal["withdraw"]
    proposal_id: Id


class Transfer(_InConversation):
    """The agent hands the conversation to another agent of the shop."""

    type: Literal["transfer"]
    agent_id: Id


class History(_InConversation):
    """A page of the log before `before` (none: the newest)."""

    type: Literal["history"]
    before: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class Refresh(_Command):
    """A fresh token for this session, before the old one expires."""

    type: Literal["refresh"]
    token: str


class Ping(_Command):
    """Is anybody there? For clients that cannot send websocket pings."""

    type: Literal["ping"]


InConversation = Say | Orders | Quote | Propose | Answer | Withdraw | Transfer | History
Command = Open | InConversation | Refresh | Ping

_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="type")])
_HELLO: TypeAdapter[Hello] = TypeAdapter(Hello)

_SAID = 100
"""How many characters of what a client wrote are said back to it."""


def read_hello(data: str) -> Hello:
    """The first frame. Raises CommandError `bad_frame` or `unsupported_protocol`."""
    try:
        hello = _HELLO.validate_json(data, strict=True)
    except ValidationError as error:
        spoken = _member(data, "protocol")
        if not isinstance(spoken, int) or spoken == PROTOCOL:
            raise _bad_frame(error.errors(include_url=False, include_input=False)) from None
    else:
        if hello.protocol == PROTOCOL:
            return hello
    raise CommandError("unsupported_protocol", supported=PROTOCOL)


def read_command(data: str) -> Command:
    """A client's command. Raises CommandError `bad_frame` that names each wrong field, or `unknown_type`."""
    try:
        return _COMMAND.validate_json(data, strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    if problems[0]["type"] == "union_tag_invalid":
        said = problems[0]["ctx"]
        raise CommandError("unknown_type", got=said["tag"][:_SAID], known=said["expected_tags"].replace("'", ""))
    if problems[0]["type"] == "union_tag_not_found":
        problems[0]["loc"], problems[0]["msg"] = ("", "type"), "Field required"
    for problem in problems:
        problem["loc"] = problem["loc"][1:]  # the first is the command's type
    raise _bad_frame(problems)


def command_id_in(data: str) -> str | None:
    """The id that a frame which is no valid command carries nevertheless, for the error's `re`."""
    id = _member(data, "id")
    return id if isinstance(id, str) and len(id) <= 64 else None


def _member(data: str, name: str) -> Any:
    try:
        frame = orjson.loads(data)
    except ValueError:
        return None
    return frame.get(name) if isinstance(frame, dict) else None


def _bad_frame(problems: list[ErrorDetails]) -> CommandError:
    fields = [
        {"path": ".".join(str(part)[:_SAID] for part in problem["loc"]) or "(frame)", "message": problem["msg"]}
        for problem in problems[:10]
    ]
    return CommandError("bad_frame", reason=f"{fields[0]['path']}: {fields[0]['message']}", fields=fields)


def encode(frame: dict[str, Any]) -> bytes:
    """A frame as it goes onto the wire."""
    return orjson.dumps(frame)


def encode_entry(now_ms: int, conversation_id: str, seq: int, at_ms: int, parts: bytes) -> bytes:
    """An `entry` event from its parts (`{…}`, encoded once for each audience and locale) and the server's clock now."""
    head = f'{{"type":"entry","conversation_id":"{conversation_id}","seq":{seq},"at_ms":{at_ms},"now_ms":{now_ms}'
    return head.encode() + (b"," + parts[1:] if len(parts) > 2 else b"}")
