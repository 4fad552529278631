"""Rows of numbers, choices and gaps as what networks see, and back. Where each column lies: service.spec.tables."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from service.spec.facts import TableColumn
from service.spec.tables import Block, is_choice, layout_of
from worker.gan.data.decoders import MixedRows, Numbers
from worker.gan.data.quantiles import Quantiles, learn_quantiles
from worker.gan.data.whitening import Whitening

KNOT_PARTS = ("values", "lower", "upper")
NO_NUMBERS = Whitening(np.zeros(0), np.ones(0), np.zeros((0, 0)))


@dataclass(frozen=True)
class MixedTable:
    """Numbers become standard normals, whitened among themselves; choices and gaps become one-hot blocks.

    Rows are float64 (N, C), a choice as its index, a gap as NaN.
    """

    columns: Sequence[TableColumn]
    numbers: Sequence[Quantiles]
    whitening: Whitening

    @classmethod
    def of(cls, columns: Sequence[TableColumn], rows: np.ndarray) -> "MixedTable":
        """Learn the shapes of the columns of numbers, and how they go together."""
        which = layout_of(columns).numbers
        numbers = [learn_quantiles(rows[:, column], decimals_of(columns[column])) for column in which]
        learning = cls(columns, numbers, NO_NUMBERS)
        return cls(columns, numbers, Whitening.of(learning.scores_of(rows)) if which else NO_NUMBERS)

    def scores_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the columns of numbers as standard normals (N, M): equal rows in, equal scores out."""
        random = np.random.Generator(np.random.PCG64(zlib.crc32(np.ascontiguousarray(rows).data)))
        which = layout_of(self.columns).numbers
        scores = [learnt.scores_of(rows[:, at], random) for learnt, at in zip(self.numbers, which, strict=True)]
        return np.stack(scores, axis=1) if scores else np.zeros((len(rows), 0))

    def forward(self, rows: np.ndarray) -> Tensor:
        """Return (N, width) float32."""
        numbers = torch.from_numpy(self.whitening.forward(self.scores_of(rows)))
        blocks = [one_hot(self.columns[block.column], block, rows) for block in layout_of(self.columns).blocks]
        return torch.cat([numbers, *blocks], dim=1).float()

    def backward(self, samples: Tensor) -> np.ndarray:
        """Return rows within the range, the decimals and the choices of their columns, gaps as NaN."""
        layout = layout_of(self.columns)
        values = samples.double().cpu()
        rows = np.empty((len(values), len(self.columns)))
        scores = self.whitening.backward(values[:, : len(layout.numbers)].numpy())
        for learnt, at, score in zip(self.numbers, layout.numbers, scores.T, strict=True):
            rows[:, at] = learnt.values_at(score)
        blocks = torch.split(values[:, len(layout.numbers) :], [block.size for block in layout.blocks], dim=1)
        for block, heights in zip(layout.blocks, blocks, strict=True):
            choose(rows, self.columns[block.column], block, heights.argmax(dim=1).numpy())
        return rows

    def decoder(self) -> nn.Module:
        """Return `backward` as a module of tensors."""
        curves = [learnt.curve() for learnt in self.numbers]
        decimals = [learnt.decimals for learnt in self.numbers]
        turn, mean = self.whitening.turn_back(), self.whitening.mean
        return MixedRows(self.columns, Numbers(turn, mean, curves, decimals) if curves else None)

    def learnt(self) -> dict[str, np.ndarray]:
        """Return the transform as arrays; the columns' knots stand one after the other."""
        return {
            **self.whitening.learnt(),
            **{part: joined([getattr(learnt, part) for learnt in self.numbers]) for part in KNOT_PARTS},
            "knots": np.array([len(learnt.values) for learnt in self.numbers], np.int64),
        }

    @classmethod
    def restore(cls, columns: Sequence[TableColumn], learnt: Mapping[str, np.ndarray]) -> "MixedTable":
        """Make the transform again."""
        ends = np.cumsum(learnt["knots"])[:-1]
        values, lower, upper = (np.split(learnt[part], ends) for part in KNOT_PARTS)
        which = layout_of(columns).numbers  # none where the split of nothing is one empty part
        knots = zip(values, lower, upper, which, strict=False)
        numbers = [Quantiles(v, low, up, decimals_of(columns[at])) for v, low, up, at in knots]
        return cls(columns, numbers, Whitening.restore(learnt))


def one_hot(column: TableColumn, block: Block, rows: np.ndarray) -> Tensor:
    """Return which choice each row has made, (N, size) float64: in the last one, the cell is missing."""
    values = rows[:, block.column]
    chosen = values if is_choice(column) else np.zeros(len(rows))
    chosen = np.where(np.isnan(values), block.size - 1, chosen)
    return functional.one_hot(torch.from_numpy(chosen).long(), block.size).double()


def choose(rows: np.ndarray, column: TableColumn, block: Block, chosen: np.ndarray) -> None:
    """Write choices (N,) into their column of the rows: the choice itself, or the gap beside a number."""
    if is_choice(column):
        rows[:, block.column] = chosen
    if column.missing:
        rows[chosen == block.size - 1, block.column] = np.nan


def labels_in(column: TableColumn, values: np.ndarray) -> np.ndarray:
    """Return a column of choices (N,) as labels (N,) int64, indices into service.spec.tables.labels_of."""
    return np.where(np.isnan(values), len(column.categories), values).astype(np.int64)


def decimals_of(column: TableColumn) -> int | None:
    """Return the decimals to round to: none where the data's own vary without end."""
    return column.decimals if column.kind == "continuous" else column.decimals or 0


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put arrays one after the other; none make an empty one."""
    return np.concatenate([np.zeros(0), *parts])
