"""`token`: says who somebody is, signed, as a shop's platform would."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import ValidationError

from bot.auth import Tokens
from bot.cli.environment import secret
from bot.cli.failure import MISUSED, Failure
from bot.participant import Participant, Role
from cards.model import to_ms


def token_command(
    role: Annotated[Role, typer.Option(help="What they may be.")],
    id: Annotated[str, typer.Option(help="Their id in the shop.")],
    shop: Annotated[str, typer.Option(help="The shop's id.")],
    name: Annotated[str | None, typer.Option(help="What others see.", show_default="the id")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 3650, help="How long the token is good for.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all that the token says.")] = False,
) -> None:
    """Print a token, signed with ASSENT_SECRET.

    A token names one agent, buyer or service of one shop. It goes into a websocket's first frame, never into a URL.

    For example:

      python -m bot token --role agent --id li-lei --shop tea --name 李雷
      python -m bot token --role service --id erp --shop tea --hours 8760
      ASSENT_SECRET=$(cat var/secret) python -m bot token --role buyer --id lin-wan --shop qingmu
    """
    who = participant(role, id, shop, name or id, timedelta(hours=hours))
    token = Tokens(secret()).sign(who)
    if as_json:
        said = {"role": who.role, "id": who.id, "shop": who.shop_id, "name": who.name}
        token = json.dumps({"token": token, **said, "expires_ms": to_ms(who.expires)}, ensure_ascii=False)
    typer.echo(token)


def participant(role: Role, id: str, shop_id: str, name: str, lasts: timedelta) -> Participant:
    """That person, from now on and for as long as it `lasts`. Raises Failure (2) for an impossible id."""
    try:
        return Participant(role=role, id=id, shop_id=shop_id, name=name, expires=datetime.now(UTC) + lasts)
    except ValidationError as error:
        option = {"shop_id": "--shop"}.get(str(error.errors()[0]["loc"][0]), "--id")
        got = shop_id if option == "--shop" else id
        raise Failure(f"{option} {got!r}: an id is 1 to 64 letters, digits, '-' or '_'", MISUSED) from error
