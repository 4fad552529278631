"""Commands on API keys. They work on the database itself: whoever can read it needs no key."""

from datetime import timedelta
from typing import Literal

import click

from ganymede.commands.output import as_json, show_json
from ganymede.commands.service import database
from ganymede.tables import format_table


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.option("--owner", default="local", show_default=True, help="Whose jobs the key sees.")
@click.option("--name", default="", help="What the key is for.")
@click.option("--scope", default="submit", show_default=True, type=click.Choice(["read", "submit", "admin"]))
@click.option("--days", type=click.IntRange(min=1), help="Days after which it expires; never when not given.")
@as_json
def create(owner: str, name: str, scope: Literal["read", "submit", "admin"], days: int | None, as_json: bool) -> None:
    """Create a key and print it; it is shown this once."""
    from service.clock import now
    from service.db import make_engine, writing
    from service.store.keys import create_key

    expires_at = now() + timedelta(days=days) if days else None
    with database() as url, writing(make_engine(url)) as session:
        key, secret = create_key(session, owner_name=owner, name=name, scope=scope, expires_at=expires_at)
    if as_json:
        show_json({"id": key.id, "owner": owner, "name": name, "scope": scope, "key": secret})
        return
    click.echo(f"{key.id} for {owner}, scope {scope}. It is shown only now:", err=True)
    click.echo(secret)


@keys.command(name="list")
@as_json
def list_all(as_json: bool) -> None:
    """List all keys, never their secrets."""
    from service.clock import rfc3339
    from service.db import make_engine, reading
    from service.store.keys import list_keys

    with database() as url, reading(make_engine(url)) as session:
        rows = [
            {
                "id": key.id,
                "owner": owner,
                "name": key.name,
                "scope": key.scope,
                "created_at": rfc3339(key.created_at),
                "expires_at": key.expires_at and rfc3339(key.expires_at),
                "revoked_at": key.revoked_at and rfc3339(key.revoked_at),
            }
            for key, owner in list_keys(session)
        ]
    if as_json:
        show_json(rows)
    else:
        header = ("ID", "OWNER", "NAME", "SCOPE", "CREATED", "EXPIRES", "REVOKED")
        click.echo(format_table(header, [tuple(row.values()) for row in rows]))


@keys.command()
@click.argument("key_id", metavar="KEY_ID")
@as_json
def revoke(key_id: str, as_json: bool) -> None:
    """Make a key useless within a second."""
    from service.db import make_engine, writing
    from service.errors import NotFound
    from service.store.keys import revoke_key

    try:
        with database() as url, writing(make_engine(url)) as session:
            revoke_key(session, key_id)
    except NotFound as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        show_json({"revoked": key_id})
    else:
        click.echo(f"{key_id} is revoked.")
