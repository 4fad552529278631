"""The faults that a storm injects: one function with `@fault` each, in the module of what it breaks."""

from chaos.faults import broker, database, files, processes
from chaos.faults.strikes import BOTH, FAULTS, KEPT, Fault, Scene, Strike

__all__ = ["BOTH", "FAULTS", "KEPT", "Fault", "Scene", "Strike", "broker", "database", "files", "processes"]
