"""What the fork server loads once so that every trainer starts warm. Opens nothing and runs nothing in parallel."""

import gc
import os
import signal

import setproctitle
import torch

import worker.ingest.prepare
import worker.trainer  # noqa: F401 (its imports are what a trainer needs)


def warm_up() -> None:
    """Take one optimiser step on one thread: torch loads its compiler at the first, which takes more than a second.

    Where there is a GPU it would start CUDA, and no process that is forked from here could use one any more.
    """
    torch.set_num_threads(1)
    if torch.cuda.is_available():
        return
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.zeros(2, 2)).sum().backward()
    optimizer.step()


def stand_apart() -> None:
    """Leave polite stops to the supervisor: this process ends when nobody is left who could ask it to fork."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    setproctitle.setproctitle("ganymede: fork server")


stand_apart()
warm_up()
gc.collect()
gc.freeze()  # https://docs.python.org/3/library/gc.html#gc.freeze: keeps the collector from copying shared pages
