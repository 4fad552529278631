"""A generator opened from its file alone: as many samples as wanted, far from the service that trained it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from service.spec.conditions import Where
from service.spec.drawing import USUAL_FPS, Drawing, parse_sample
from service.spec.facts import DatasetFacts, facts_from_json
from service.spec.headers import GeneratorHeader
from service.spec.parts.model import ModelSpec
from service.spec.wishes import restrict
from worker.gan.data.encoding import restore_encoding
from worker.gan.data.training_data import Rows
from worker.gan.files import UnreadableState, read_state
from worker.gan.networks.players import Generator
from worker.gan.networks.registry import make_generator
from worker.gan.paths import follow, frames_of
from worker.gan.randomness import Stream, random_for
from worker.gan.rejection import DRAWS_PER_ROW, SPARE_DRAWS, joined, keep_drawing
from worker.gan.samples import Exporter, spread_out, write_film
from worker.gan.sampling import even_labels, label_odds, sample, shown_labels, tell_nobody
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
    metadata: dict[str, Any]  # what the file says of itself

    @property
    def facts(self) -> DatasetFacts:
        """What is known of the data."""
        return self.exporter.facts

    @property
    def header(self) -> GeneratorHeader:
        """What can be asked of it."""
        return GeneratorHeader(self.facts, self.conditional, self.network.latent_dim)

    def sample(
        self,
        count: int,
        seed: int,
        labels: Sequence[int] | None = None,
        *,
        where: Where | None = None,
        truncation: float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw samples (count, *shape) in the data's own units, and the labels (count,) they were drawn for.

        Labels are indices into facts.labels. where keeps rows by their columns, truncation is a factor of the normal
        latents; both are those of service.spec.drawing.SampleSpec. Raises ValueError for labels that do not fit the
        generator, InvalidInput for a condition that does not, TooRare when next to no row meets it.
        """
        rows = self._draw(count, seed, labels, where, truncation)
        return rows.values, rows.labels

    def render(
        self,
        count: int,
        seed: int,
        labels: Sequence[int] | None = None,
        *,
        where: Where | None = None,
        truncation: float = 1.0,
    ) -> dict[str, bytes]:
        """Draw the same as files, in each format of the data: csv, png, wav, npz, parquet, zip."""
        return self.exporter.write_all(self._draw(count, seed, labels, where, truncation))

    def carry_out(self, drawing: Drawing, tell: Callable[[int], None] = tell_nobody) -> bytes:
        """Draw what was asked for and write it; tell hears of how many more samples, now and then. Raises TooRare."""
        rows = self._carry_out(drawing, tell)
        if drawing.format == "gif":
            return write_film(self.facts, rows.values, drawing.fps or USUAL_FPS)
        if drawing.walk is not None:
            rows = spread_out(self.facts, drawing.format, rows)
        return self.exporter.write(drawing.format, rows)

    def _draw(
        self, count: int, seed: int, labels: Sequence[int] | None, where: Where | None, truncation: float
    ) -> Rows:
        if count < 1:
            raise ValueError(f"count is {count}, not at least 1")
        classes = len(self.facts.labels) if self.conditional else 0
        if labels is not None and (len(labels) != count or not all(0 <= label < classes for label in labels)):
            raise ValueError(f"{count} samples of this generator take {count} labels from 0 to below {classes}")
        asked = parse_sample({"where": where, "truncation": truncation})
        restriction = restrict(asked.where or {}, self.header)
        if labels is not None and restriction.labels is not None and not {*labels} <= {*restriction.labels}:
            raise ValueError("labels name classes that `where` leaves out")
        return self._carry_out(Drawing(count, seed, "npz", tuple(labels or ()), restriction, asked.truncation))

    def _carry_out(self, drawing: Drawing, tell: Callable[[int], None] = tell_nobody) -> Rows:
        if drawing.restriction.conditions:
            return self._draw_kept(drawing, tell)
        latents, labels = self._latents(drawing), self._labels(drawing)
        if drawing.walk is not None:
            frames = frames_of(drawing.walk, drawing.n)
            latents = follow(latents, self.network.normals, frames)
            labels = None if labels is None else labels[frames.nearer]
        return self._make(latents, labels, drawing.truncation, tell)

    def _latents(self, drawing: Drawing) -> Tensor:
        """Return the latents of each sample, or of each key of a path: drawn, but for those that are given."""
        latents = self.network.draw_latents(drawing.points, random_for(drawing.seed, Stream.SAMPLES, 0))
        if drawing.latents:
            latents[:, self.network.normals] = torch.tensor(drawing.latents)
        return latents

    def _labels(self, drawing: Drawing) -> Tensor | None:
        """Return the label of each sample or key, evenly from what is asked for or as the data has them."""
        if not self.conditional:
            return None
        if drawing.classes:
            return torch.tensor(drawing.classes)[even_labels(drawing.points, len(drawing.classes))]
        return shown_labels(drawing.points, self.facts, drawing.restriction.labels)

    def _draw_kept(self, drawing: Drawing, tell: Callable[[int], None]) -> Rows:
        """Draw rows that meet conditions: of each class that is asked for as many as are, else of any."""
        numbers = count_from(1)  # draw 0 is that of the job's own samples
        conditions = drawing.restriction.conditions

        def keep(wanted: int, odds: Tensor | None, most: int) -> Rows:
            def draw(size: int) -> Rows:
                random = random_for(drawing.seed, Stream.SAMPLES, next(numbers))
                latents = self.network.draw_latents(size, random)
                labels = None if odds is None else torch.multinomial(odds, size, replacement=True, generator=random)
                return self._make(latents, labels, drawing.truncation)

            return keep_drawing(draw, conditions, wanted, most=most, tell=tell)

        if not drawing.classes:
            odds = label_odds(self.facts, drawing.restriction.labels) if self.conditional else None
            return keep(drawing.n, odds, DRAWS_PER_ROW * drawing.n + SPARE_DRAWS)
        wanted = torch.tensor(drawing.classes)[even_labels(drawing.n, len(drawing.classes))]
        distinct, counts = torch.unique(wanted, return_counts=True)
        spare = SPARE_DRAWS // len(distinct)
        parts = [
            keep(count, label_odds(self.facts, [label]), DRAWS_PER_ROW * count + spare)
            for label, count in zip(distinct.tolist(), counts.tolist(), strict=True)
        ]
        back = torch.argsort(torch.argsort(wanted, stable=True))
        return joined(parts).taken(back.numpy())

    def _make(
        self, latents: Tensor, labels: Tensor | None, truncation: float, tell: Callable[[int], None] = tell_nobody
    ) -> Rows:
        if truncation < 1:
            latents = self.network.truncate(latents, truncation)
        samples = sample(self.network, latents.to(_dtype_of(self.network.state_dict())), labels, tell)
        return Rows(self.exporter.encoding.backward(samples), None if labels is None else labels.numpy())


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
    try:
        load_network(network.to(_dtype_of(weights)), weights)
    except RuntimeError:
        raise UnreadableState("a generator of a version whose networks were built otherwise") from None
    exporter = Exporter(facts, restore_encoding(facts, learnt), learnt.get(BACKDROP))
    return OpenedGenerator(network, exporter, model.conditional, state.facts["step"], state.facts)


def _dtype_of(tensors: dict[str, Tensor]) -> torch.dtype:
    return next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
