"""Equal parts of many frames kept once: the same card is told to many, again and again, and a history keeps it all.

Law: what comes back is equal to what went in; nobody changes a part of a frame.
"""

from typing import Any

import orjson

_MOST = 50_000
"""Parts known at a time; when there are more, all are forgotten, and what was shared stays shared."""


class Thrift:
    """Shares texts, objects and lists inside frames."""

    def __init__(self) -> None:
        self._known: dict[str | bytes, Any] = {}

    def kept(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The same frame, made of parts that others have too."""
        if len(self._known) > _MOST:
            self._known.clear()
        return {name: self._part(value) for name, value in frame.items()}

    def _part(self, value: Any) -> Any:
        match value:
            case str():
                return self._known.setdefault(value, value)
            case dict() | list():
                key = orjson.dumps(value)
                if key not in self._known:
                    self._known[key] = (
                        self.kept(value) if isinstance(value, dict) else [self._part(item) for item in value]
                    )
                return self._known[key]
        return value
