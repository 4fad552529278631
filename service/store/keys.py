"""API keys and their owners. A key is stored by its hash alone and shown once."""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from service.clock import now
from service.db import writes_alone
from service.errors import NotFound
from service.ids import make_id
from service.models import Key, Owner

LOCAL_OWNER = "own_local"  # everybody, while keys are off; its row comes with the first migration
Scope = Literal["read", "submit", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "submit", "admin")  # each includes those before it
# Not against rows that come to refer to the owner, which PostgreSQL would hold up otherwise.
_LOCK = select(Owner.id).where(Owner.id == bindparam("owner")).with_for_update(key_share=True)


def create_key(
    session: Session, *, owner_name: str, name: str, scope: Scope, expires_at: datetime | None = None
) -> tuple[Key, str]:
    """Create a key, and its owner at their first; return it with the secret, which is stored nowhere."""
    secret = "gnm_" + secrets.token_urlsafe(32)  # 256 random bits: no salt or slow hash is needed
    key = Key(
        id=make_id("key"),
        owner_id=_find_or_create_owner(session, owner_name).id,
        name=name,
        sha256=_hash(secret),
        scope=scope,
        created_at=now(),
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(key)
    session.flush()
    return key, secret


def _find_or_create_owner(session: Session, name: str) -> Owner:
    owner = session.scalars(select(Owner).where(Owner.name == name)).first()
    if owner is None:
        owner = Owner(id=make_id("own"), name=name, created_at=now())
        session.add(owner)
        session.flush()
    return owner


def lock_owner(session: Session, owner_id: str) -> None:
    """Let nobody else count what an owner has until the transaction ends: of two, both would take the last place.

    Whoever changes a data set that is not ready yet has locked that first; who admits jobs holds only ready ones, and
    those after this. So no two ever wait for each other.
    """
    if not writes_alone(session):
        session.execute(_LOCK, {"owner": owner_id})


def find_key(session: Session, secret: str) -> Key | None:
    """Return the valid key of a secret: not revoked, not expired."""
    digest = _hash(secret)
    key = session.scalars(select(Key).where(Key.sha256 == digest)).first()
    if key is None or not hmac.compare_digest(key.sha256, digest) or key.revoked_at is not None:
        return None
    return None if key.expires_at is not None and key.expires_at <= now() else key


def valid_keys(session: Session, key_ids: Collection[str]) -> set[str]:
    """Return those of some keys that are neither revoked nor expired."""
    is_valid = Key.revoked_at.is_(None) & or_(Key.expires_at.is_(None), Key.expires_at > now())
    return set(session.scalars(select(Key.id).where(Key.id.in_(key_ids), is_valid)))


def revoke_key(session: Session, key_id: str) -> Key:
    """Make a key useless from now on; raise NotFound."""
    key = session.get(Key, key_id)
    if key is None:
        raise NotFound("key", key_id)
    key.revoked_at = key.revoked_at or now()
    return key


def list_keys(session: Session) -> Sequence[tuple[Key, str]]:
    """Return every key with its owner's name, oldest first."""
    query = select(Key, Owner.name).join(Owner, Owner.id == Key.owner_id).order_by(Key.id)
    return [(row[0], row[1]) for row in session.execute(query)]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
