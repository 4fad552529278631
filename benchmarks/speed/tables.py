"""Row T1: a large table, prepared and trained on, against ctgan with networks of the same size."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.quality.rival import HOME, is_installed, without_gaps, write_file
from benchmarks.speed.figures import Effort, Figure, PeerAbsent, interleave, ratio, took_s
from benchmarks.speed.models import CPU, SEED
from benchmarks.speed.steps import recorded
from benchmarks.speed.turns import TurnTaker
from service.spec.datasets import SURVEY, NoParams
from service.spec.resolve import parse_spec, resolve
from worker.exactness import compute_exactly
from worker.gan.data.registry import OPENERS
from worker.gan.data.split import EVERYTHING
from worker.gan.data.training_data import Rows, TrainingData, open_rows
from worker.gan.training import Training

PROGRAM = Path(__file__).with_name("time_ctgan.py")
NETWORK = {"width": 256, "depth": 2}  # ctgan's own defaults, as all of the following
POSTED = {
    "dataset": SURVEY.name,
    "seed": SEED,
    "model": {"latent_dim": 128, "generator": NETWORK, "discriminator": {**NETWORK, "packing": 10}},
    "loop": {"batch_size": 500, "max_steps": 1_000_000},
    "quality": {"held_out": 0.0, "every_steps": 0},
}


def against_ctgan(effort: Effort) -> dict[str, Figure]:
    """T1."""
    if not is_installed():
        raise PeerAbsent("`make ctgan` has not installed it")
    torch.set_num_threads(1)
    rows = OPENERS[SURVEY.name](SURVEY, NoParams())
    with (
        TemporaryDirectory(prefix="ganymede-ctgan-") as directory,
        ctgan(rows, Path(directory, "rows.csv")) as rival,
    ):
        their_s = rival(1)  # prepares
        prepared = [took_s(lambda: prepare(rows)) for _ in range(effort.rounds)]
        taken = interleave({"ctgan": rival, "ours": recorded(training_on(prepare(rows)))}, effort)
    return {
        "preparation": Figure.of([their_s / our_s for our_s in prepared]),
        "step": ratio(taken["ctgan"], taken["ours"]),
    }


def ctgan(rows: Rows, file: Path) -> TurnTaker:
    """Begin to train ctgan on the rows; its first turn prepares them."""
    columns = list(without_gaps(SURVEY.table, rows.values))
    write_file(file, columns)
    discrete = [f"--discrete={column.name}" for column in columns if column.is_discrete]
    python = str(HOME / "bin" / "python")
    return TurnTaker([python, "-W", "ignore", str(PROGRAM), str(file), *discrete], OMP_NUM_THREADS="1")


def prepare(rows: Rows) -> TrainingData:
    """Learn the encoding of the table and encode it."""
    return open_rows(SURVEY, rows, EVERYTHING)


def training_on(data: TrainingData) -> Training:
    """Make the training of the recipe, with ctgan's sizes."""
    compute_exactly(CPU)
    spec = resolve(parse_spec(POSTED), memory_limit_bytes=2**40).spec
    return Training(spec, data, device=CPU, dtype=torch.float32)
