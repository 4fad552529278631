"""The models that are measured: the same networks, data and batch for the service's training and for the baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from tempfile import TemporaryFile
from typing import Any, Literal, TextIO, cast

import numpy as np
import torch

from benchmarks.speed.baseline import NETWORKS, Baseline
from benchmarks.speed.places import COMPILED
from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec
from service.spec.plan import Plan, layout_for
from service.spec.resolve import merge, parse_spec, resolve
from service.spec.uploads import Upload
from worker.exactness import compute_exactly
from worker.gan.compiled import remember_compiled
from worker.gan.data.registry import open_dataset
from worker.gan.data.split import EVERYTHING
from worker.gan.data.training_data import Rows, TrainingData, open_rows
from worker.gan.training import Training

Variant = Literal["reuse", "fused"]

CPU = torch.device("cpu")
SEED = 1
MOST_STEPS = 10_000_000
PICTURES = 2_048


@dataclass(frozen=True)
class Model:
    """A model as a client posts it, on a built-in data set or on made-up pictures of a shape (C, H, W)."""

    posted: Mapping[str, Any]
    pictures: tuple[int, int, int] | None = None

    @property
    def compiles(self) -> bool:
        """Whether a compiled step is faster: convolutions gain nothing by it."""
        return self.pictures is None


def _mlp(dataset: str, *, latent_dim: int, width: int, depth: int, batch_size: int) -> Model:
    network = {"width": width, "depth": depth}
    networks = {"latent_dim": latent_dim, "generator": network, "discriminator": {**network, "octaves": 0}}
    return Model({"dataset": dataset, "model": networks, "loop": {"batch_size": batch_size}})


def _dcgan(*shape: int, batch_size: int, latent_dim: int = 100) -> Model:
    network = {"width": 64}
    networks = {"architecture": "dcgan", "latent_dim": latent_dim, "generator": network, "discriminator": network}
    channels, height, width = shape
    return Model(
        {"dataset": "ds_pictures", "model": networks, "loop": {"batch_size": batch_size}}, (channels, height, width)
    )


MODELS: dict[str, Model] = {
    "ring": _mlp("ring", latent_dim=16, width=128, depth=3, batch_size=256),
    "ring64": _mlp("ring", latent_dim=16, width=128, depth=3, batch_size=64),
    "digits": _mlp("digits", latent_dim=64, width=256, depth=2, batch_size=128),
    "dcgan32": _dcgan(1, 32, 32, batch_size=128),
    "dcgan64": _dcgan(3, 64, 64, batch_size=64),
    "dcgan32 of 50 MB": _dcgan(1, 32, 32, batch_size=128, latent_dim=700),
}

_ADAM = {"lr": 2e-4, "betas": [0.5, 0.999], "schedule": {"name": "constant", "warmup_steps": 0}}
AS_THE_BASELINE: dict[str, Any] = {
    "model": {"latent_codes": 0, "conditional": False, "ema": {"half_life_samples": 0}},
    "objective": {"loss": "non_saturating", "r1": 0.0, "r2": 0.0},
    "optimizer": {"generator": _ADAM, "discriminator": _ADAM},
    "quality": {"held_out": 0.0, "every_steps": 0},
}
"""What recipes would set otherwise."""


def posted(model: str, variant: Variant, **changes: Any) -> dict[str, Any]:
    """Return what a client posts for a job whose networks and steps are the baseline's."""
    loop = {"loop": {"variant": variant, "max_steps": MOST_STEPS}, "seed": SEED}
    return merge(merge(merge(AS_THE_BASELINE, dict(MODELS[model].posted)), loop), changes)


def spec_of(model: str, variant: Variant, **changes: Any) -> JobSpec:
    """Resolve that."""
    facts = facts_of(model)
    find = resolve(
        parse_spec(posted(model, variant, **changes)),
        memory_limit_bytes=2**40,
        find_upload=lambda _: None if facts is None else Upload("ready", facts),
    )
    return find.spec


def facts_of(model: str) -> DatasetFacts | None:
    """Describe made-up pictures, None for a built-in data set."""
    shape = MODELS[model].pictures
    return None if shape is None else DatasetFacts("ds_pictures", "image", shape, PICTURES, sha256="0" * 64)


@cache
def data_of(model: str) -> TrainingData:
    """Open the data of a model."""
    facts, spec = facts_of(model), spec_of(model, "reuse")
    if facts is None:
        if isinstance(spec.dataset, str):
            raise TypeError("the spec is not resolved")
        return open_dataset(spec.dataset)
    random = np.random.Generator(np.random.PCG64(SEED))
    pictures = random.integers(0, 256, (PICTURES, *facts.shape), dtype=np.uint8)
    return open_rows(facts, Rows(pictures, None), EVERYTHING)


def captured_training_of(model: str, variant: Variant, **changes: Any) -> Training:
    """Make a training as a worker with a GPU would."""
    spec = spec_of(model, variant, **changes)
    plan = Plan("captured", 1, "to be measured", layout_for(spec))
    return Training(spec, data_of(model), device=torch.device("cuda"), dtype=torch.float32, plan=plan)


def training_of(model: str, variant: Variant, **changes: Any) -> Training:
    """Make a training as a worker would that may take its time to compile."""
    compute_exactly(CPU)
    remember_compiled(COMPILED)
    spec = spec_of(model, variant, **changes)
    plan = Plan(
        "compiled" if MODELS[model].compiles else "eager", torch.get_num_threads(), "to be measured", layout_for(spec)
    )
    return Training(spec, data_of(model), device=CPU, dtype=torch.float32, plan=plan)


def baseline_of(model: str, device: str = "cpu") -> Baseline:
    """Make the baseline on the same data, held by the host; its lines go into a file that is forgotten."""
    torch.manual_seed(SEED)
    samples = data_of(model).samples
    if not isinstance(samples, torch.Tensor):
        raise TypeError("the data is too large to be held")
    printed = TemporaryFile("w")  # noqa: SIM115 (it lasts as long as the baseline)
    return Baseline(NETWORKS[model](), samples, out=cast("TextIO", printed), device=device)
