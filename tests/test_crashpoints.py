"""A process killed at any named place: the job still ends as if nothing had happened."""

import re
from pathlib import Path

from service.crashpoints import CRASH_POINTS

_ROOT = Path(__file__).parent.parent
_CALL = re.compile(r"crash_point\((\".*)\)")


def test_every_named_point_is_a_place_in_the_code_and_every_place_has_a_name() -> None:
    sources = [path.read_text() for part in ("service", "worker") for path in (_ROOT / part).rglob("*.py")]

    called = {name for source in sources for call in _CALL.findall(source) for name in re.findall(r'"(.+?)"', call)}

    assert called == set(CRASH_POINTS)
