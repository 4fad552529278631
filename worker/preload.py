"""What the fork server loads once so that every trainer starts warm. Opens nothing and runs nothing in parallel."""

import gc
import os
import signal

import setproctitle
import torch

import worker.ingest.prepare
import worker.trainer  # noqa: F401 (its imports are what a trainer needs)
from service.spec.plan import Plan
from service.spec.resolve import find_dataset, parse_spec, resolve
from worker.gan.data.registry import open_dataset
from worker.gan.diagnosis.checkup import Examiner
from worker.gan.training import Training


def warm_up() -> None:
    """Take a step of a small training on one thread.

    At the first torch loads its compiler, which takes more than a second, and what Python and torch look up once and
    then remember took each trainer another tenth. Where there is a GPU that would start CUDA, and no process that is
    forked from here could use one any more.
    """
    torch.set_num_threads(1)
    if torch.cuda.is_available():
        return
    spec = resolve(parse_spec({"dataset": "ring", "seed": 0}), memory_limit_bytes=2**30).spec
    data = open_dataset(find_dataset(spec.dataset)[0])
    plan = Plan("eager", 1, "to warm up")
    training = Training(spec, data, device=torch.device("cpu"), dtype=torch.float32, plan=plan)
    Examiner(training)
    training.step()


def stand_apart() -> None:
    """Leave polite stops to the supervisor: this process ends when nobody is left who could ask it to fork."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    setproctitle.setproctitle("ganymede: fork server")


stand_apart()
warm_up()
gc.collect()
gc.freeze()  # https://docs.python.org/3/library/gc.html#gc.freeze: keeps the collector from copying shared pages
