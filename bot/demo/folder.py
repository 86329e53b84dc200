"""The demo's folder: its data, the secret that signs its tokens, and where its gateway listens just now.

Law: everything that must survive is in here; `rm -r` of it begins a new demo.
"""

import json
import os
import secrets
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from bot.auth import Tokens
from bot.cli.failure import MISUSED, Failure
from bot.cli.listening import Address
from bot.cli.token import participant
from bot.demo.cast import SUPERVISOR
from bot.participant import Role
from bot.shopfile import DEMO, ShopFile, load


class DemoFolder:
    """One demo's folder; made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.valkey = path / "valkey"
        self._secret = path / "secret"
        self._address = path / "demo.json"

    @cached_property
    def shop(self) -> ShopFile:
        """The shop that ships with the product."""
        return load(DEMO)

    @property
    def people(self) -> dict[str, tuple[Role, str]]:
        """Everybody who can take part, by id: what they are, and their name."""
        people = {person.id: (Role.AGENT, person.name) for person in self.shop.agents}
        people[SUPERVISOR[0]] = (Role.SUPERVISOR, SUPERVISOR[1])
        return people | {person.id: (Role.BUYER, person.name) for person in self.shop.buyers}

    def secret(self) -> str:
        """The secret, made at the first start and kept for its owner's eyes. Raises Failure."""
        try:
            if not self._secret.exists():
                self._write(self._secret, secrets.token_hex(32))
            return self._secret.read_text()
        except OSError as error:
            raise Failure(f"Can't keep a secret in {self.path} ({error.strerror}): choose another --data.") from error

    def token(self, person_id: str, lasts: timedelta) -> str:
        """A token of one of the shop's people. Raises Failure for anybody else, and when no demo was ever here."""
        people = self.people
        if person_id not in people:
            raise Failure(f"The demo's shop has no {person_id!r}; it has {', '.join(people)}.", MISUSED)
        if not self._secret.exists():
            raise self._not_running()
        role, name = people[person_id]
        return Tokens(self.secret()).sign(participant(role, person_id, self.shop.shop.id, name, lasts))

    def announce(self, address: Address) -> None:
        """Leave word of where the gateway listens."""
        self._write(self._address, json.dumps({"url": address.ws, "pid": os.getpid()}))

    def retract(self) -> None:
        """It listens no more."""
        self._address.unlink(missing_ok=True)

    def address(self) -> str:
        """Where the gateway listens (`ws://…`). Raises Failure when none does."""
        try:
            return str(json.loads(self._address.read_text())["url"])
        except (OSError, ValueError, KeyError, TypeError):
            raise self._not_running() from None

    def _not_running(self) -> Failure:
        return Failure(f"No demo runs on {self.path}. Start one with `make run`, or name its folder with --data.")

    def _write(self, file: Path, text: str) -> None:
        """Whole or not at all, and for the owner only."""
        self.path.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        fresh.replace(file)
