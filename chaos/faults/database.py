"""The database dies, stands still and is cut off."""

import time

from chaos.faults import network
from chaos.faults.strikes import POSTGRESQL, Scene, Strike, fault, kill_one_meanwhile


@fault(cheap=False, databases=POSTGRESQL)
def database_killed(scene: Scene) -> Strike:
    """Every process of the database server is killed with kill -9; it recovers from its log."""
    postgres = scene.stack.running_postgres
    postgres.kill()
    time.sleep(scene.random.uniform(0, 2))
    postgres.start()
    return Strike()


@fault(cheap=False, databases=POSTGRESQL)
def database_frozen(scene: Scene) -> Strike:
    """The database server stands still for up to three times the lease."""
    postgres = scene.stack.running_postgres
    postgres.freeze()
    victims = kill_one_meanwhile(scene)
    time.sleep(scene.stack.ttl_s * scene.random.uniform(0.5, 3))
    postgres.thaw()
    return Strike(victims)


@fault(cheap=True, databases=POSTGRESQL)
def database_cut(scene: Scene) -> Strike:
    """Every connection to the database is reset, some in the midst of a transaction or of its commit."""
    return network.cut(scene, scene.stack.database_proxy, within_bytes=20_000)


@fault(cheap=False, databases=POSTGRESQL)
def database_black_holed(scene: Scene) -> Strike:
    """What is sent to the database vanishes, for a while, and no connection is closed."""
    return network.black_hole(scene, scene.stack.database_proxy)


@fault(cheap=False, databases=POSTGRESQL)
def database_slow(scene: Scene) -> Strike:
    """The database answers late."""
    return network.slow(scene, scene.stack.database_proxy, least_s=0.02, most_s=0.2)
