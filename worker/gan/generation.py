"""A generator opened from its file alone: as many samples as wanted, far from the service that trained it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from service.spec.facts import DatasetFacts, facts_from_json
from service.spec.parts.model import ModelSpec
from worker.gan.data.encoding import restore_encoding
from worker.gan.files import UnreadableState, read_state
from worker.gan.networks.players import Generator
from worker.gan.networks.registry import make_generator
from worker.gan.randomness import Stream, random_for
from worker.gan.samples import Exporter
from worker.gan.sampling import sample, shown_labels
from worker.gan.state import BACKDROP, ENCODING, load_network, part


@dataclass(frozen=True)
class OpenedGenerator:
    """A generator on the CPU with what turns its samples into the units of the data it imitates.

    Draws follow from count, seed and labels alone. With the seed and `samples.count` of its job they are those of the
    job's own timeline; there the labels are given as here without any: evenly, or in the data's own proportions.
    """

    network: Generator
    exporter: Exporter
    conditional: bool
    step: int

    @property
    def facts(self) -> DatasetFacts:
        """What is known of the data."""
        return self.exporter.facts

    def sample(
        self, count: int, seed: int, labels: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw samples (count, *shape) in the data's own units, and the labels (count,) they were drawn for.

        Labels are indices into facts.labels. Raises ValueError when they do not fit the generator.
        """
        samples, used = self._draw(count, seed, labels)
        return self.exporter.encoding.backward(samples), None if used is None else used.numpy()

    def render(self, count: int, seed: int, labels: Sequence[int] | None = None) -> dict[str, bytes]:
        """Draw the same as files, in each format of the data: csv, png, npz, zip."""
        return self.exporter.render(*self._draw(count, seed, labels))

    def _draw(self, count: int, seed: int, labels: Sequence[int] | None) -> tuple[Tensor, Tensor | None]:
        if count < 1:
            raise ValueError(f"count is {count}, not at least 1")
        used = self._labels(count, labels)
        latents = self.network.draw_latents(count, random_for(seed, Stream.SAMPLES, 0))
        return sample(self.network, latents.to(_dtype_of(self.network.state_dict())), used), used

    def _labels(self, count: int, labels: Sequence[int] | None) -> Tensor | None:
        classes = len(self.facts.labels) if self.conditional else 0
        if labels is None:
            return shown_labels(count, self.facts) if classes else None
        if len(labels) != count or not all(0 <= label < classes for label in labels):
            raise ValueError(f"{count} samples of this generator take {count} labels from 0 to below {classes}")
        return torch.tensor(labels)


def open_generator(source: bytes | Path) -> OpenedGenerator:
    """Rebuild a generator or its average from what generator_file wrote; raises UnreadableState."""
    state = read_state(source)
    if "part" not in state.facts:
        raise UnreadableState("a whole training state: ask for one part of it, generator or ema")
    model = ModelSpec.model_validate(state.facts["model"])
    try:
        facts = facts_from_json(state.facts["data"])
    except ValidationError:
        raise UnreadableState("a generator of a version whose files did not say the units of the data") from None
    learnt = {name: tensor.numpy() for name, tensor in part(ENCODING, state.tensors).items()}
    weights = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(f"{ENCODING}.")}
    network = make_generator(model, facts)
    load_network(network.to(_dtype_of(weights)), weights)
    exporter = Exporter(facts, restore_encoding(facts, learnt), learnt.get(BACKDROP))
    return OpenedGenerator(network, exporter, model.conditional, state.facts["step"])


def _dtype_of(tensors: dict[str, Tensor]) -> torch.dtype:
    return next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
