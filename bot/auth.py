"""Tokens: JSON Web Tokens (HS256) signed with the shop platform's secret, saying who somebody is."""

from datetime import timedelta
from typing import Annotated

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.errors import CommandError
from bot.participant import Participant, Role
from cards.model import Id, from_ms

_AUDIENCE = "assent"
_LEEWAY = timedelta(seconds=5)
_YEAR_9999 = 253_370_764_800


class _Claims(BaseModel):
    """What a token must say besides its audience; whoever else issues tokens may say more."""

    model_config = ConfigDict(strict=True)

    sub: Id
    role: Annotated[Role, Field(strict=False)]
    shop: Id
    name: Annotated[str, Field(max_length=200)] = ""
    exp: Annotated[float, Field(ge=0, lt=_YEAR_9999)]
    """Seconds since 1970, a NumericDate (RFC 7519, section 2)."""


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
            claims = _Claims.model_validate(
                jwt.decode(
                    token,
                    self._secret,
                    algorithms=["HS256"],
                    audience=_AUDIENCE,
                    leeway=_LEEWAY,
                    options={"require": ["exp", "sub", "aud"]},
                )
            )
        except jwt.ExpiredSignatureError as error:
            raise CommandError("token_expired") from error
        except jwt.InvalidTokenError as error:
            raise CommandError("token_invalid", reason=str(error)) from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise CommandError("token_invalid", reason=f"{first['loc'][0]}: {first['msg']}") from error
        except (ValueError, TypeError, ArithmeticError) as error:  # what PyJWT lets through of claims that are no dates
            raise CommandError("token_invalid", reason=str(error)) from error
        return Participant(
            role=claims.role,
            id=claims.sub,
            shop_id=claims.shop,
            name=claims.name or claims.sub,
            expires=from_ms(round(claims.exp * 1000)),
        )
