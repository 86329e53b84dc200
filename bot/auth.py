"""Tokens: JSON Web Tokens (HS256) signed with the shop platform's secret, saying who somebody is."""

from datetime import timedelta

import jwt
from pydantic import ValidationError

from bot.errors import CommandError
from bot.participant import Participant, Role
from cards.model import from_ms

_AUDIENCE = "assent"
_LEEWAY = timedelta(seconds=5)


class Tokens:
    """Signs and reads tokens. `secret` needs 32 bytes or more (RFC 7518, section 3.2)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def sign(self, who: Participant) -> str:
        """The token of a participant."""
        claims = {
            "aud": _AUDIENCE,
            "sub": who.id,
            "role": who.role.value,
            "shop": who.shop_id,
            "name": who.name,
            "exp": int(who.expires.timestamp()),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def read(self, token: str) -> Participant:
        """Whom a token names. Raises CommandError `token_expired` or `token_invalid` (which says why)."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                leeway=_LEEWAY,
                options={"require": ["exp", "sub", "aud"]},
            )
            return Participant(
                role=Role(claims.get("role", "")),
                id=claims["sub"],
                shop_id=claims.get("shop", ""),
                name=claims.get("name") or claims["sub"],
                expires=from_ms(claims["exp"] * 1000),
            )
        except jwt.ExpiredSignatureError as error:
            raise CommandError("token_expired") from error
        except jwt.InvalidTokenError as error:
            raise CommandError("token_invalid", reason=str(error)) from error
        except ValidationError as error:
            raise CommandError("token_invalid", reason=error.errors()[0]["msg"]) from error
        except ValueError as error:
            raise CommandError("token_invalid", reason=str(error)) from error
