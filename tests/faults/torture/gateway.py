"""One gateway as `serve` runs it, in a process of its own that can be tortured: `gateway.py CONFIG.json`.

Law: the wall clock is shifted before anything of the product is imported; so nothing of it is imported up here.
"""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Config:
    """What a gateway is started with. Files are paths; a gateway looks at them again and again.

    `environment` are settings as `serve` reads them (REDIS_URL, ASSENT_…). `doom` names the moment to die at
    (`moments.Doom`), `orders` the order system's mood (`orders.Temper`). `planted` is a bug (`planted.PLANTED`).
    `lease` is that of the timers it claims, `wait` how long the store may take to answer at start; all in seconds.
    """

    port: int
    doom: str
    orders: str
    environment: dict[str, str] = field(default_factory=dict)
    skew: float = 0.0
    lease: float = 10.0
    deaf_alarms: bool = False
    planted: str | None = None
    wait: float = 60.0

    @classmethod
    def load(cls, file: Path) -> "Config":
        """The config in a file of JSON."""
        return cls(**json.loads(file.read_text()))


def main(file: Path) -> None:
    """Serve until SIGTERM, or death."""
    config = Config.load(file)
    os.environ.update(config.environment)
    from tests.faults.torture.skew import shift

    if config.skew:
        shift(config.skew)
    from tests.faults.torture.serving import serve

    serve(config)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
