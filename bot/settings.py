"""Every knob, one place: environment variables ASSENT_… (and REDIS_URL), checked at start."""

from datetime import timedelta
from typing import Annotated

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[timedelta, Field(gt=timedelta(0))]
"""A duration; the environment gives seconds."""


class Settings(BaseSettings):
    """What an operator can set; each field's default suits a shop, and the simulator and tests shorten some."""

    model_config = SettingsConfigDict(env_prefix="ASSENT_", frozen=True, extra="forbid", populate_by_name=True)

    redis_url: Annotated[str, Field(validation_alias=AliasChoices("REDIS_URL", "ASSENT_REDIS_URL"))] = ""
    """redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (and rediss+…)."""
    secret: Annotated[str, Field(min_length=32)]
    """Signs the tokens (HS256): 32 characters or more, the same for every gateway."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, lt=65536)] = 8080
    allowed_origins: tuple[str, ...] = ()
    """Web origins that may connect besides the gateway's own, e.g. ["https://shop.example"]."""

    answer_window: Seconds = timedelta(hours=2)
    """How long a buyer may take to answer a card (the deadline is data on the card)."""
    slow_after: Seconds = timedelta(minutes=1)
    """An order system that has not answered a consent for so long is told to the agent."""
    order_system_timeout: Seconds = timedelta(seconds=10)
    retry_after: Seconds = timedelta(seconds=2)
    retry_at_most: Seconds = timedelta(minutes=1)
    """A consent whose order system was away is tried again after the first, doubling up to the second, for ever."""

    hello_timeout: Seconds = timedelta(seconds=5)
    heartbeat: Seconds = timedelta(seconds=20)
    drain: Seconds = timedelta(seconds=10)
    """How long a gateway that is told to stop waits for what is under way."""
    frame_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024
    buffer_bytes: Annotated[int, Field(ge=16 * 1024)] = 256 * 1024
    """A reader that is further behind than this is closed with the code for resume."""
    commands_per_second: Annotated[float, Field(gt=0)] = 20
    command_burst: Annotated[int, Field(ge=1)] = 60
    commands_under_way: Annotated[int, Field(ge=1)] = 64
    """Commands of one session that may wait for their reply at once; above it they are refused with `busy`."""
    resume_entries: Annotated[int, Field(ge=1)] = 1000
    """A cursor further behind than this gets `reset` and a fresh page instead of every entry."""
    keep_replies: Annotated[int, Field(ge=1)] = 200
    keep_entries: Annotated[int, Field(ge=100)] = 10_000
