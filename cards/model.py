"""The base of every value here: frozen, strict about unknown fields, times as aware UTC, Unix ms when written."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""An id of a shop, person, order, line, product or SKU; it can stand in a Redis key and in a hash tag."""


def to_ms(instant: datetime) -> int:
    """An aware instant as Unix milliseconds."""
    return round(instant.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Unix milliseconds as an aware UTC instant."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _read_instant(value: object) -> object:
    return from_ms(value) if isinstance(value, int) else value


Instant = Annotated[datetime, BeforeValidator(_read_instant), PlainSerializer(to_ms, return_type=int)]
"""An aware UTC datetime in Python; Unix ms in JSON."""


class Model(BaseModel):
    """A frozen value without room for unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
