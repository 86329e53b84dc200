"""A wall clock that is wrong. Law: whatever is imported after `shift` sees only that clock; monotonic time stays."""

import datetime as _datetime
import time as _time
from typing import Any, cast

_REAL = _datetime.datetime


class _Any(type):
    """Makes every datetime an instance of the shifted one, as they are all of the real class."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _REAL)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _REAL)


def shift(seconds: float) -> None:
    """Have `time.time`, `time.time_ns`, `datetime.now`, `utcnow` and `today` be off by so much, from now on.

    C code keeps the true clock (Python's own libraries read it through these). Modules that took `time.time` or
    `datetime` by name before keep it too, so call this before anything else is imported.
    """
    off, time, time_ns = _datetime.timedelta(seconds=seconds), _time.time, _time.time_ns

    class Shifted(_REAL, metaclass=_Any):
        """`datetime`, whose instances are plain ones: nobody downstream meets a strange class."""

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return _REAL(*args, **kwargs)

        @classmethod
        def now(cls, tz: _datetime.tzinfo | None = None) -> Any:
            return _REAL.now(tz) + off

        @classmethod
        def utcnow(cls) -> Any:
            return _REAL.now(_datetime.UTC).replace(tzinfo=None) + off

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    Shifted.__name__ = Shifted.__qualname__ = "datetime"
    _datetime.datetime = cast(Any, Shifted)  # type: ignore[misc]
    _time.time = lambda: time() + seconds
    _time.time_ns = lambda: time_ns() + round(seconds * 1e9)
