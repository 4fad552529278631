"""The broker dies, forgets, is cut off, and says what nobody has sent."""

import json
import time
from typing import Any

from redis import Redis

from chaos.faults import network
from chaos.faults.strikes import Scene, Strike, fault
from service.broker import TRAIN, make_celery
from service.settings import Settings


@fault(cheap=True)
def broker_killed(scene: Scene) -> Strike:
    """The broker is killed with kill -9, and with it all that it knew."""
    scene.stack.kill("broker")
    time.sleep(scene.random.uniform(0, 1))
    return Strike()


@fault(cheap=True)
def broker_wiped(scene: Scene) -> Strike | None:
    """All data in the broker is deleted."""
    if "broker" in scene.stack.dead():
        return None
    scene.stack.wipe_broker()
    return Strike()


@fault(cheap=True)
def wakeups_forged(scene: Scene) -> Strike | None:
    """A hundred duplicates, the queue in reverse, and messages that nobody of ours has sent."""
    if "broker" in scene.stack.dead():
        return None
    settings = Settings(_env_file=None, redis_url=scene.stack.broker_url)
    with make_celery(settings) as celery:
        for _ in range(100):
            celery.send_task(TRAIN, retry=False)
    with _broker(scene) as broker:
        waiting = broker.lrange(TRAIN, 0, -1)
        broker.lpush(TRAIN, *reversed(waiting), *forgeries(waiting))
    return Strike()


@fault(cheap=True)
def broker_cut(scene: Scene) -> Strike:
    """Every connection to the broker is reset, some in the midst of a message."""
    return network.cut(scene, scene.stack.broker_proxy, within_bytes=4000)


@fault(cheap=False)
def broker_black_holed(scene: Scene) -> Strike:
    """What is sent to the broker vanishes, for a while, and no connection is closed."""
    return network.black_hole(scene, scene.stack.broker_proxy)


@fault(cheap=False)
def broker_slow(scene: Scene) -> Strike:
    """The broker answers late."""
    return network.slow(scene, scene.stack.broker_proxy, least_s=0.05, most_s=0.5)


def forgeries(genuine: list[bytes]) -> list[bytes]:
    """Return messages that are no JSON, no message, of no task of ours, pickled, or torn."""
    message: dict[str, Any] = json.loads(genuine[0]) if genuine else {"headers": {}, "properties": {}, "body": ""}
    stranger = message | {"headers": {**message["headers"], "task": "os.system"}}
    pickled = message | {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
    torn = json.dumps(message).encode()[:-20]
    return [b"not a message", b"{}", b"[]", torn, json.dumps(stranger).encode(), json.dumps(pickled).encode()]


def _broker(scene: Scene) -> Redis:
    return Redis.from_url(scene.stack.broker_url, socket_timeout=5)
