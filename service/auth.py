"""Who may ask what: API keys and their scopes, and the checks that keep other sites' pages out of a local service."""

import ipaddress
from urllib.parse import urlsplit

from flask import Request
from sqlalchemy import Engine

from service.db import glancing
from service.problems import Refused
from service.settings import Settings
from service.store.keys import LOCAL_OWNER, SCOPES, Scope, find_key
from service.web import Caller

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ganymede"'}


def refuse_open_bind(settings: Settings) -> None:
    """Raise ValueError where everybody on the network could use the service without a key."""
    if settings.auth == "off" and not settings.binds_loopback:
        raise ValueError(
            f"GANYMEDE_AUTH=off is allowed on a loopback address only, not on {settings.bind}. "
            "Leave it unset and make a key with: ganymede keys create"
        )


def check_host(request: Request, settings: Settings) -> None:
    """Refuse a foreign Host while keys are off: another site may have pointed its name at this address."""
    if settings.keys_required:
        return
    host = _name_of(request.host)
    if not _is_loopback(host) and host != settings.host:
        raise Refused("host_not_allowed", f"This service answers to loopback names only, not to {host!r}.")


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:  # such as [1:2]
        return ""


def check_origin(request: Request) -> None:
    """Refuse a change that a page of another site asks for."""
    origin = request.headers.get("Origin")
    if request.method in SAFE_METHODS or origin is None:
        return
    if origin.partition("://")[2] != request.host:
        raise Refused("origin_not_allowed", f"A page of {origin} may not change anything here.")


def admit(request: Request, *, engine: Engine, settings: Settings, scope: Scope) -> Caller:
    """Return who is asking; refuse a key that is unknown, revoked, expired or too weak for the scope."""
    if not settings.keys_required:
        return Caller(LOCAL_OWNER, "admin")
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret:
        raise Refused("unauthorized", "Send a key as Authorization: Bearer KEY.", headers=_CHALLENGE)
    with glancing(engine) as session:
        key = find_key(session, secret.strip())
    if key is None:
        raise Refused("unauthorized", "The key is unknown, revoked or expired.", headers=_CHALLENGE)
    if SCOPES.index(key.scope) < SCOPES.index(scope):
        raise Refused("forbidden", f"This needs a key of scope {scope}; yours is of scope {key.scope}.")
    return Caller(key.owner_id, key.scope, key.id)  # type: ignore[arg-type]


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
