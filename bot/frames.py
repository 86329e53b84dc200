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
    """The first frame: who I am, and the last seq I have of each conversation.

    `at_ms` may say when those entries were. Then a log whose end was lost in a failover, and that has other entries of
    these seqs by now, is told from the one that I know.
    """

    type: Literal["hello"]
    token: str
    protocol: int
    cursors: Mapping[ConversationId, Seq] = {}
    at_ms: Mapping[ConversationId, Annotated[int, Field(ge=0, lt=2**53)]] = {}
    locale: Locale = Locale.ZH_CN


class _Command(Model):
    id: CommandUuid


class Open(_Command):
    """An agent opens (or takes) the conversation with a buyer."""

    type: Literal["open"]
    buyer_id: Id


class InConversation(_Command):
    """A command that names a conversation."""

    conversation_id: ConversationId


class Say(InConversation):
    """A text message."""

    type: Literal["say"]
    text: Text


class Orders(InConversation):
    """The buyer's orders (个人订单)."""

    type: Literal["orders"]


class Quote(InConversation):
    """What each SKU of each line of an order would mean."""

    type: Literal["quote"]
    order_id: Id


class Propose(InConversation):
    """The agent asks the buyer for a change of whole lines of one order."""

    type: Literal["propose"]
    order_id: Id
    changes: Annotated[tuple[Change, ...], Field(min_length=1, max_length=50)]
    waive_difference: bool = False


class Preview(InConversation):
    """What the buyer would see if the agent asked for that change."""

    type: Literal["preview"]
    order_id: Id
    changes: Annotated[tuple[Change, ...], Field(min_length=1, max_length=50)]
    waive_difference: bool = False


class Answer(InConversation):
    """The buyer's click, on the card as they saw it (`version`)."""

    type: Literal["answer"]
    proposal_id: Id
    version: Annotated[int, Field(ge=1, lt=2**53)]
    action: Literal["agree", "reject"]
    comment: Text | None = None


class Withdraw(InConversation):
    """The agent takes a waiting card back."""

    type: Literal["withdraw"]
    proposal_id: Id


class Transfer(InConversation):
    """The agent hands the conversation to another agent of the shop, and may say why."""

    type: Literal["transfer"]
    agent_id: Id
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None


class Close(InConversation):
    """The agent, who has seen all up to `seq`, ends the conversation; what the buyer says next opens it again."""

    type: Literal["close"]
    seq: Seq | None = None


class Remind(InConversation):
    """The agent reminds the buyer of a card that waits."""

    type: Literal["remind"]
    proposal_id: Id


class Read(InConversation):
    """I have read everything up to `seq`."""

    type: Literal["read"]
    seq: Seq


class Typing(InConversation):
    """I am writing, or (`active` false) no longer."""

    type: Literal["typing"]
    active: bool = True


class History(InConversation):
    """A page of the log before `before` (none: the newest)."""

    type: Literal["history"]
    before: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class Conversations(_Command):
    """A page of the list: a group of it, or what a search finds in the whole shop (a buyer's name, an order's id)."""

    type: Literal["conversations"]
    group: Literal["to_reply", "in_progress", "unassigned"] | None = None
    search: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] | None = None
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class Agents(_Command):
    """The shop's agents: who is here, and how much they have to do."""

    type: Literal["agents"]


class Status(_Command):
    """The agent gets new conversations (`online`), or keeps theirs and gets no new ones (`suspended`, 挂起)."""

    type: Literal["status"]
    state: Literal["online", "suspended"]


class WaitingCards(_Command):
    """Open cards by time left, over all conversations: the agent's own, or (a supervisor asks) the whole shop's."""

    type: Literal["waiting_cards"]


class Stats(_Command):
    """A supervisor asks how the last day or week of negotiations went."""

    type: Literal["stats"]
    period: Literal["day", "week"] = "day"


class Missed(_Command):
    """What happened in the agent's conversations since an instant, in order."""

    type: Literal["missed"]
    since_ms: Annotated[int, Field(ge=0, lt=2**53)]
    limit: Annotated[int, Field(ge=1, le=500)] = 200


class QuickReplies(_Command):
    """The quick replies (快捷短语), filled in for a conversation and an order if they are given."""

    type: Literal["quick_replies"]
    conversation_id: ConversationId | None = None
    order_id: Id | None = None


Scope = Literal["shop", "mine"]
Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=50)]


class AddQuickReply(_Command):
    """A new quick reply, at the end of the list."""

    type: Literal["add_quick_reply"]
    scope: Scope = "mine"
    title: Title = ""
    text: Text


class EditQuickReply(_Command):
    """Another title and text for a quick reply."""

    type: Literal["edit_quick_reply"]
    scope: Scope = "mine"
    reply_id: Id
    title: Title = ""
    text: Text


class DeleteQuickReply(_Command):
    """A quick reply that nobody needs any more."""

    type: Literal["delete_quick_reply"]
    scope: Scope = "mine"
    reply_id: Id


class MoveQuickReply(_Command):
    """Another place in the list: `position` counts from 0; one that is too far is the end."""

    type: Literal["move_quick_reply"]
    scope: Scope = "mine"
    reply_id: Id
    position: Annotated[int, Field(ge=0, lt=2**31)]


class Refresh(_Command):
    """A fresh token for this session, before the old one expires."""

    type: Literal["refresh"]
    token: str


class Ping(_Command):
    """Is anybody there? For clients that cannot send websocket pings."""

    type: Literal["ping"]


Look = Orders | Quote | Preview | History | Read | Typing
Act = Open | Say | Propose | Answer | Withdraw | Remind | Transfer | Close
AtTheDesk = (
    Conversations
    | Agents
    | Status
    | WaitingCards
    | Stats
    | Missed
    | QuickReplies
    | AddQuickReply
    | EditQuickReply
    | DeleteQuickReply
    | MoveQuickReply
)
StoreCommand = Look | Act | AtTheDesk
Command = StoreCommand | Refresh | Ping

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
