"""A history of any length read piece by piece, so that neither memory nor a transaction grows with it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from service.db import reading
from service.history.query import Query
from service.history.reading import Reading, read_history
from service.store.history import Stretch

WINDOW_STEPS = 65_536


def count_asked(stretches: Sequence[Stretch], query: Query) -> int:
    """Return how many steps a query asks for before any are left out."""
    if not stretches:
        return 0
    return max(query.last(stretches[-1].last) - query.first(stretches[0].first) + 1, 0)


def read_in_windows(engine: Engine, stretches: Sequence[Stretch], query: Query) -> Iterator[Reading]:
    """Yield every step that a query asks for, each window from a transaction of its own. Its columns are resolved."""
    for stretch in stretches:
        first, last = query.first(stretch.first), query.last(stretch.last)
        for start in range(first, last + 1, WINDOW_STEPS):
            window = Stretch(stretch.job_id, start, min(start + WINDOW_STEPS - 1, last))
            with reading(engine) as session:
                yield read_history(session, [window], replace(query, max_points=None))
