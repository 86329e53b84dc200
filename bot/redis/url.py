"""REDIS_URL, read: which servers, by which way, and as whom.

Law: what is wrong with it is said without quoting any of it, since it may hold passwords.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

FORMS = (
    "redis://[user:password@]host[:port][/db], rediss://… (TLS), unix:///path/to/socket[?db=0], "
    "redis+sentinel://[user:password@]host[:port][,host…]/service[/db][?sentinel_password=…], "
    "redis+cluster://[user:password@]host[:port][,host…], rediss+sentinel://… and rediss+cluster://… (TLS)"
)
_KINDS: Mapping[str, tuple[Literal["server", "sentinel", "cluster"], int]] = {
    "redis": ("server", 6379),
    "redis+sentinel": ("sentinel", 26379),
    "redis+cluster": ("cluster", 6379),
}
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_LOGIN = frozenset({"username", "password"})
_SENTINEL_LOGIN = frozenset({"sentinel_username", "sentinel_password"})
_TLS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})


class BadRedisUrl(ValueError):
    """A REDIS_URL that cannot be used; the message says why, and which forms can."""

    def __init__(self, why: str) -> None:
        super().__init__(f"REDIS_URL: {why}. Usable forms: {FORMS}")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a REDIS_URL says. `options` are arguments of redis-py's connections: login, database, TLS, socket path."""

    kind: Literal["server", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...] = ()
    """None for a unix socket, one for a server, one or more for Sentinels or a Cluster."""
    service: str = ""
    """What the Sentinels call the primary."""
    secure: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_redis_url(url: str) -> RedisUrl:
    """The parts of a URL. Raises BadRedisUrl."""
    parts = _split(url.strip())
    if parts.scheme == "unix":
        return _unix(parts)
    scheme = parts.scheme.replace("rediss", "redis", 1)
    if scheme not in _KINDS:
        raise BadRedisUrl("it begins with none of the known schemes" if url.strip() else "it is empty")
    if parts.fragment or "@" in parts.path + parts.query:
        raise BadRedisUrl("a password's / ? # must be percent-encoded: %2F %3F %23")
    kind, default_port = _KINDS[scheme]
    login, _, hosts = parts.netloc.rpartition("@")
    secure = parts.scheme.startswith("rediss")
    service, db = _path(parts.path, kind)
    query = _query(parts.query, _LOGIN | (_TLS if secure else set()) | _more(kind))
    return RedisUrl(
        kind,
        _hosts(hosts, default_port, several=kind != "server"),
        service,
        secure,
        {
            **_read_login(login),
            **{name: value for name, value in query.items() if name not in _SENTINEL_LOGIN},
            **({"db": db} if db else {}),
        },
        {name.removeprefix("sentinel_"): value for name, value in query.items() if name in _SENTINEL_LOGIN | _TLS},
    )


def _split(url: str) -> SplitResult:
    """RFC 3986, appendix B. Not `urlsplit`: newer Pythons' refuses a bracketed address that is not the only host."""
    found = _PARTS.fullmatch(url)
    assert found is not None  # it matches every text
    scheme, netloc, path, query, fragment = found.groups("")
    return SplitResult(scheme.lower(), netloc, path, query, fragment)


def _unix(parts: SplitResult) -> RedisUrl:
    if not parts.path.strip("/") or parts.netloc.rpartition("@")[2]:
        raise BadRedisUrl("a socket's path must begin with a slash, after unix://")
    login = _read_login(parts.netloc.rpartition("@")[0])
    query = _query(parts.query, _LOGIN | {"db"})
    return RedisUrl("server", options={"path": unquote(parts.path), **login, **query})


def _more(kind: str) -> frozenset[str]:
    return {"server": frozenset({"db"}), "sentinel": _SENTINEL_LOGIN | {"db"}}.get(kind, frozenset())


def _read_login(login: str) -> dict[str, str]:
    user, _, password = login.partition(":")
    named = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in named.items() if value}


def _path(path: str, kind: str) -> tuple[str, int]:
    """The service (of Sentinels only) and the database."""
    service, rest = "", path.strip("/")
    if kind == "sentinel":
        service, _, rest = rest.partition("/")
        if not service:
            raise BadRedisUrl("after the hosts it must name the Sentinels' service, e.g. /mymaster")
    db = _number("db", rest) if rest else 0
    if db and kind == "cluster":
        raise BadRedisUrl("a Cluster has database 0 only")
    return unquote(service), db


def _number(what: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise BadRedisUrl(f"{what} must be a number")
    return int(text)


def _query(query: str, known: frozenset[str] | set[str]) -> dict[str, Any]:
    options: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    if not options.keys() <= known:
        raise BadRedisUrl(
            f"after '?' it may set only {', '.join(sorted(known))}; timeouts and pools are not its matter"
        )
    if "db" in options:
        options["db"] = _number("db", options["db"])
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() not in ("0", "f", "false", "n", "no")
    if options.get("ssl_cert_reqs", "none") not in ("none", "optional", "required"):
        raise BadRedisUrl("ssl_cert_reqs must be none, optional or required")
    return options


def _hosts(text: str, default_port: int, *, several: bool) -> tuple[tuple[str, int], ...]:
    hosts = []
    for each in text.split(","):
        try:
            at = urlsplit(f"//{each}")
            host, port = at.hostname, default_port if at.port is None else at.port
        except ValueError:
            host, port = None, 0
        if not host or not port:
            raise BadRedisUrl("each host must be host:port, with a port from 1 to 65535 (an IPv6 address in brackets)")
        hosts.append((host, port))
    if len(hosts) > 1 and not several:
        raise BadRedisUrl("several hosts are for Sentinels or a Cluster: redis+sentinel://… or redis+cluster://…")
    return tuple(hosts)
