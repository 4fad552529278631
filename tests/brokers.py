"""A real broker for tests that need nothing else of an installation."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from service.broker import embedded_broker, ping_broker
from service.settings import Settings


@contextmanager
def a_broker(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an embedded broker, which may still be starting."""
    process = subprocess.Popen(embedded_broker(settings), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_up(settings: Settings) -> bool:
    """Tell whether the broker answers."""
    try:
        ping_broker(settings)
    except RedisError:
        return False
    return True
