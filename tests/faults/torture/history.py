"""What everybody did, was answered and was told, in the order it happened; and what was broken meanwhile.

Law: a record is written down at once, as one line of JSON, and never changed: a run that ends badly leaves all of it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import orjson

Kind = Literal["sent", "answered", "gave_up", "told", "connected", "lost", "moved", "fault"]


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened. `at` is in seconds since the run began, `wall_ms` in Unix ms on the harness's clock.

    `data` by kind: `sent` {id, command}; `answered` {id, frame}; `gave_up` {id}; `told` {frame}; `connected` {url};
    `lost` {}; `moved` {order_id, move, result}; `fault` {name, phase: begins | ends, detail}. `who` is `agent <id>`,
    `buyer <id>`, or `buyer <id>#2` for a second device; empty for what no person did.
    """

    at: float
    wall_ms: int
    kind: Kind
    who: str
    data: dict[str, Any]


class History:
    """The records of one run, in memory and, when it has a `path`, on disk; a context manager."""

    def __init__(self, path: Path | None = None) -> None:
        self.records: list[Record] = []
        self._began = time.monotonic()
        self._file = path.open("ab") if path else None

    def note(self, kind: Kind, who: str = "", **data: Any) -> Record:
        """Write a record down; its times are now."""
        record = Record(round(time.monotonic() - self._began, 6), int(time.time() * 1000), kind, who, data)
        self.records.append(record)
        if self._file is not None:
            self._file.write(orjson.dumps(record) + b"\n")
        return record

    def of(self, *kinds: Kind) -> Iterator[Record]:
        """The records of these kinds, in order."""
        return (record for record in self.records if record.kind in kinds)

    @classmethod
    def load(cls, path: Path) -> Self:
        """A history that was left on disk; a last line that was cut off is not in it."""
        history = cls()
        lines = path.read_bytes().split(b"\n")
        history.records = [Record(**orjson.loads(line)) for line in lines[:-1]]
        return history

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
