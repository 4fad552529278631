"""What can happen on the way to a server: the strikes that the faults of the broker and of the database share."""

import time

from chaos.faults.strikes import Scene, Strike, kill_one_meanwhile
from chaos.proxy import Proxy


def cut(scene: Scene, proxy: Proxy, *, within_bytes: int) -> Strike:
    """Reset every connection, at once or in the midst of what is said next."""
    if scene.random.random() < 0.5:
        proxy.cut()
    else:
        proxy.cut_after(scene.random.randrange(1, within_bytes))
        time.sleep(0.5)
        proxy.heal()
    return Strike()


def black_hole(scene: Scene, proxy: Proxy) -> Strike:
    """Swallow everything for a while, in which a trainer may die."""
    proxy.black_hole()
    victims = kill_one_meanwhile(scene)
    time.sleep(scene.random.uniform(0.5, 2))
    proxy.heal()
    return Strike(victims)


def slow(scene: Scene, proxy: Proxy, *, least_s: float, most_s: float) -> Strike:
    """Hold every chunk back for a second."""
    proxy.slow(scene.random.uniform(least_s, most_s))
    time.sleep(1)
    proxy.heal()
    return Strike()
