"""Every knob, one place: environment variables ASSENT_… (and REDIS_URL), checked at start."""

import math
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _read_seconds(value: object) -> object:
    """The environment gives text: a number of seconds, or what pydantic reads as a duration (ISO 8601: PT2H)."""
    if not isinstance(value, str):
        return value
    try:
        seconds = float(value)
    except ValueError:
        return value
    return seconds if math.isfinite(seconds) else value


def _read_list(value: object) -> object:
    """A JSON array, or what stands between commas."""
    if not isinstance(value, str):
        return value
    if not value.strip().startswith("["):
        return [part for each in value.split(",") if (part := each.strip())]
    try:
        return orjson.loads(value)
    except ValueError:
        raise PydanticCustomError("list", "is no JSON array; origins separated by commas will do as well") from None


def _check_origin(origin: str) -> str:
    """As browsers send it: scheme, host and perhaps port, in lower case and without a path (RFC 6454)."""
    try:
        parts = urlsplit(origin)
        whole = f"{parts.scheme}://{parts.netloc}" == origin == origin.lower() and bool(parts.scheme and parts.hostname)
    except ValueError:
        whole = False
    if not whole:
        raise PydanticCustomError("origin", "should be a web origin, e.g. https://shop.example, without a path")
    return origin


Seconds = Annotated[timedelta, BeforeValidator(_read_seconds), Field(gt=timedelta(0), le=timedelta(days=365))]
"""A duration of a year at most; the environment gives seconds, e.g. 7200 or 0.5."""
Origin = Annotated[str, AfterValidator(_check_origin)]


class Settings(BaseSettings):
    """What an operator can set; each field's default suits a shop, and the simulator and tests shorten some.

    An empty variable counts as not set. `load_settings` reads it with errors that operators understand.
    """

    model_config = SettingsConfigDict(
        env_prefix="ASSENT_", env_ignore_empty=True, frozen=True, extra="forbid", populate_by_name=True
    )

    redis_url: Annotated[str, Field(validation_alias=AliasChoices("REDIS_URL", "ASSENT_REDIS_URL"), repr=False)] = ""
    """redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (and rediss+…)."""
    secret: Annotated[str, Field(min_length=32, repr=False)]
    """Signs the tokens (HS256): 32 characters or more, the same for every gateway."""
    replicas: Annotated[int, Field(ge=0, le=10)] = 0
    """An `ok` means that so many replicas have it too, and so survives a failover to one of them; while fewer are
    connected, whatever changes something is answered `store_away`. Have one more than that."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, lt=65536)] = 8080
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_read_list)] = ()
    """Web origins that may connect besides the gateway's own, e.g. https://shop.example, separated by commas."""

    answer_window: Seconds = timedelta(hours=2)
    """How long a buyer may take to answer a card (the deadline is data on the card)."""
    slow_after: Seconds = timedelta(minutes=1)
    """An order system that has not answered a consent for so long is told to the agent."""
    order_system_timeout: Seconds = timedelta(seconds=10)
    """How long the order system may take to change an order, or to be asked once more; then it counts as away."""
    retry_after: Seconds = timedelta(seconds=3)
    retry_at_most: Seconds = timedelta(minutes=1)
    """A consent whose order system was away is tried again after the first, doubling up to the second, for ever."""
    reconcile: Seconds = timedelta(minutes=10)
    """How often every open proposal is looked at for a lost timer or a moved order, at most."""

    agent_limit: Annotated[int, Field(ge=1)] = 100
    """How many open conversations an agent can have; more wait at the desk."""
    agent_grace: Seconds = timedelta(minutes=5)
    """An agent away for longer loses conversations in which a buyer waits for a reply to others."""
    presence_lease: Seconds = timedelta(seconds=30)
    """How long a gateway's word counts that somebody is here; it is renewed three times as often."""
    reply_warning: Seconds = timedelta(seconds=150)
    reply_overdue: Seconds = timedelta(seconds=180)
    """A buyer without a reply: the agent is warned after the first, and overdue after the second (the platforms score
    replies within three minutes)."""
    remind_before: Seconds = timedelta(minutes=15)
    """Both sides are told so long before a card's deadline; a card that waits no longer than that tells nobody."""

    hello_timeout: Seconds = timedelta(seconds=5)
    """How long a new connection may take to say `hello`."""
    heartbeat: Seconds = timedelta(seconds=20)
    """How often a connection is pinged; one that does not answer within half of that is closed."""
    drain: Seconds = timedelta(seconds=10)
    """How long a gateway that is told to stop waits for what is under way."""
    frame_bytes: Annotated[int, Field(ge=1024, le=256 * 1024)] = 16 * 1024
    """The largest frame that a client may send."""
    buffer_bytes: Annotated[int, Field(ge=16 * 1024)] = 256 * 1024
    """A reader that is further behind than this is closed with the code for resume."""
    buffers_bytes: Annotated[int, Field(ge=1024 * 1024)] = 256 * 1024 * 1024
    """The same for all readers of this gateway together: above it, whoever has not read what they were sent is closed
    so when there is more."""
    sessions_at_once: Annotated[int, Field(ge=1)] = 16_000
    """Websockets of this gateway, some 24 KB each; whoever comes then is refused (HTTP 503), and finds another."""
    commands_per_second: Annotated[float, Field(gt=0)] = 20
    command_burst: Annotated[int, Field(ge=1)] = 60
    """Of one session: the first is what it may go on sending, the second how many of them may come at once."""
    commands_under_way: Annotated[int, Field(ge=1)] = 64
    """Commands of one session that may wait for their reply at once; above it they are refused with `busy`."""
    commands_at_once: Annotated[int, Field(ge=1)] = 2000
    """The same for all sessions of this gateway together: what bounds its memory, and how long those that are taken
    wait, when Redis or the order system is slower than the load."""
    resume_entries: Annotated[int, Field(ge=1)] = 1000
    """A cursor further behind than this gets `reset` and a fresh page instead of every entry."""
    keep_replies: Annotated[int, Field(ge=1)] = 200
    keep_entries: Annotated[int, Field(ge=100)] = 10_000
    """Of one conversation: the last replies, which a repeated command gets again, and the last entries of its log."""
    keep: Seconds = timedelta(days=180)
    """A conversation idle for so long is removed, and a proposal settled so long ago with what was kept of it; never
    one that is open. Under nine days supervisors' numbers of a week lack some."""


class BadSettings(ValueError):
    """Settings that nobody can run with; the message names each variable, what is wrong with it, and what to do."""


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment, under those given here by field name (None: not given). Raises BadSettings."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [_explain(each) for each in error.errors(include_url=False)]
        raise BadSettings("\n".join(["These settings cannot be used:", *problems])) from None


def _explain(problem: ErrorDetails) -> str:
    field, variable = _variable(str(problem["loc"][0]))
    if field not in Settings.model_fields:
        return f"  {field}: there is no such setting"
    if field == "secret":
        wrong = "is not set" if problem["type"] == "missing" else "is too short or no text"
        return (
            f"  {variable} {wrong}. It signs the tokens: set it to 32 characters or more, "
            "the same for every gateway and for whoever issues tokens (`openssl rand -hex 32` makes one)."
        )
    said = "" if field == "redis_url" else f"={problem['input']!s:.80}"
    wrong = problem["msg"].replace("Input should", "should", 1)
    shown = default = Settings.model_fields[field].default
    if isinstance(default, timedelta):
        wrong = "should be a number of seconds above 0, a year's at most, e.g. 7200 or 0.5"
        shown = f"{default.total_seconds():g}"
    return f"  {variable}{said}: {wrong}. Correct it, or remove it for the default{f' ({shown})' if shown else ''}."


def _variable(loc: str) -> tuple[str, str]:
    """A field's name and its environment variable, from either; errors name whichever was used."""
    if loc in ("redis_url", "REDIS_URL", "ASSENT_REDIS_URL"):
        return "redis_url", "REDIS_URL"
    field = loc.lower().removeprefix("assent_")
    return field, f"ASSENT_{field.upper()}"
