"""What the machine offers, asked in a forked process: the one that asks CUDA can never be forked again."""

import json
import os
import shutil
import sysconfig
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from service.settings import Settings
from service.spec.plan import Route
from worker.forkserver import ForkServer


class UnfitMachine(Exception):
    """This machine cannot train as the settings ask."""


@dataclass(frozen=True)
class Machine:
    """The devices and cores of a worker."""

    device: str  # cpu or cuda
    gpus: int
    cores: int
    torch: str
    gpu: str | None
    can_compile: bool  # there is a C++ compiler, and Python's headers
    route: Route = "default"  # the faster one of its processor

    def device_of(self, slot: int, wanted: str) -> str:
        """Return torch's name of the device for a job in a slot."""
        if self.device == "cpu" or wanted == "cpu":
            return "cpu"
        return f"cuda:{slot % self.gpus}"

    @property
    def claimable(self) -> tuple[str, ...]:
        """The devices whose jobs can run here."""
        return ("auto", "cpu") if self.device == "cpu" else ("auto", "cpu", "cuda")

    @property
    def facts(self) -> dict[str, Any]:
        """What /workers shows."""
        return asdict(self)


def look_at_machine(fork_server: ForkServer, settings: Settings) -> Machine:
    """Return what is here; raise UnfitMachine when torch does not load or the device asked for is missing."""
    code, words = fork_server.fork(_look).end()
    if words is None:
        raise UnfitMachine(f"torch cannot be loaded (exit code {code}); is the worker extra installed?")
    found = json.loads(words)
    if settings.device == "cuda" and not found["gpus"]:
        raise UnfitMachine("GANYMEDE_DEVICE is cuda, but torch finds no GPU")
    device = "cuda" if found["gpus"] and settings.device != "cpu" else "cpu"
    return Machine(device=device, cores=len(os.sched_getaffinity(0)), **found)


def _look(*, words: Connection) -> None:
    import torch

    from worker.gan.routes import find_route

    torch.set_num_threads(1)
    gpus = torch.cuda.device_count()
    found = {
        "gpus": gpus,
        "gpu": torch.cuda.get_device_name(0) if gpus else None,
        "torch": torch.__version__,
        "can_compile": can_compile(),
        "route": find_route(),
    }
    words.send_bytes(json.dumps(found).encode())


def can_compile() -> bool:
    """Tell whether torch's compiler finds what it needs beside itself to build kernels."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    return compiler is not None and Path(sysconfig.get_path("include"), "Python.h").exists()
