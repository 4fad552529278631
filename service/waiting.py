"""Waiting for a change: what a client says about it, and the long poll of a job, a data set or samples."""

from collections.abc import Callable

from pydantic import Field
from sqlalchemy.orm import Session

from service.binding import Query
from service.db import glancing
from service.web import Web


class WaitQuery(Query):
    """How long to wait for a change."""

    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for a version after `since`.")
    since: int | None = Field(None, ge=0, le=2**53, description="Version the client has; else the current one.")


def wait_for_change(web: Web, query: WaitQuery, read: Callable[[Session], tuple[int, bool]]) -> None:
    """Wait until a version is past `since` or settled for good, at most for as long as the client says.

    `read` returns the version and whether it is settled, and raises NotFound.
    """
    if not query.wait:
        return

    def look() -> tuple[int, bool]:
        with glancing(web.engine) as session:
            return read(session)

    since = look()[0] if query.since is None else query.since

    def has_changed() -> bool:
        version, is_settled = look()
        return version > since or is_settled

    web.long_polls.poll(has_changed, timeout_s=query.wait)
