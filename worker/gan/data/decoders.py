"""What the encodings do backwards as modules of tensors, for generators that go where Ganymede is not.

Each takes samples (N, *shape) in network units. Only pictures come without their last rounding, so that they have
slopes, and timbres as magnitudes, for the phases of sounds are not stable enough to be equal elsewhere.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from service.spec.facts import TableColumn
from service.spec.tables import is_choice, layout_of

FAN = 16  # knots that are looked at together: of fewer the program is longer, of more each look


class Affine(nn.Module):
    """Numbers times a factor plus a shift, both of one sample's shape or one number."""

    factor: Tensor
    shift: Tensor

    def __init__(self, factor: np.ndarray, shift: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("factor", torch.from_numpy(factor.astype(np.float32)))
        self.register_buffer("shift", torch.from_numpy(shift.astype(np.float32)))

    def forward(self, samples: Tensor) -> Tensor:
        """Return numbers of the same shape."""
        return samples * self.factor + self.shift


class Filter(nn.Module):
    """Sounds (N, 1, frames), each frequency times its loudness (frames // 2 + 1,), within [-1, 1].

    In double precision: where the number of frames is no power of two, onnxruntime's transform in float32 is off by a
    hundredth.
    """

    loudness: Tensor

    def __init__(self, loudness: np.ndarray, frames: int) -> None:
        super().__init__()
        self.register_buffer("loudness", torch.from_numpy(loudness.astype(np.float64)))
        self.frames = frames

    def forward(self, samples: Tensor) -> Tensor:
        """Return sounds of the same shape, float32."""
        spectrum = torch.fft.rfft(samples.double()) * self.loudness
        sounds: Tensor = torch.fft.irfft(spectrum, n=self.frames)
        return sounds.clamp(-1, 1).float()


class Magnitudes(nn.Module):
    """Mixtures (N, K) of components of loudness as the magnitudes (N, bins, frames) of a short-time transform."""

    mean: Tensor
    axes: Tensor

    def __init__(self, mean: Tensor, axes: Tensor, *, silence: float, loudest: float, bins: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("axes", axes)
        self.silence, self.loudest, self.bins = silence, loudest, bins

    def forward(self, samples: Tensor) -> Tensor:
        """Undo the logarithm."""
        loudness = (self.mean + samples @ self.axes).clamp(max=self.loudest)
        powers = (loudness.exp() - self.silence).clamp_min(0)
        return powers.sqrt().reshape(-1, self.bins, self.mean.shape[0] // self.bins)


class Numbers(nn.Module):
    """Whitened scores (N, D) to numbers (N, D) float64: turned back, then each along the curve of its column.

    A curve is a polyline through knots, which numpy.interp would follow; beyond the ends it stays there. decimals say
    how columns are rounded, None not at all.
    """

    turn: Tensor
    mean: Tensor
    first: Tensor
    lowest: Tensor
    at: Tensor
    values: Tensor
    slopes: Tensor
    unit: Tensor
    is_rounded: Tensor

    def __init__(
        self,
        turn: np.ndarray,
        mean: np.ndarray,
        curves: Sequence[tuple[np.ndarray, np.ndarray]],
        decimals: Sequence[int | None],
    ) -> None:
        super().__init__()
        self.knots = 1 << max(len(at) - 1 for at, _ in curves).bit_length()
        padded = [padded_curve(at, values, self.knots) for at, values in curves]
        parts = {
            "turn": turn,
            "mean": mean,
            "first": np.arange(len(curves)) * self.knots,
            "lowest": np.array([at[0] for at, _ in curves]),
            "at": np.concatenate([at for at, _, _ in padded]),
            "values": np.concatenate([values for _, values, _ in padded]),
            "slopes": np.concatenate([slopes for _, _, slopes in padded]),
            "unit": np.array([10.0 ** (each or 0) for each in decimals]),
            "is_rounded": np.array([each is not None for each in decimals]),
        }
        for name, part in parts.items():
            self.register_buffer(name, torch.from_numpy(part))

    def forward(self, samples: Tensor) -> Tensor:
        """Return numbers within the ranges of their columns."""
        scores = (samples.double() @ self.turn + self.mean).maximum(self.lowest)
        knot = self.last_reached(scores)
        values = self.values[knot] + self.slopes[knot] * (scores - self.at[knot])
        return torch.where(self.is_rounded, torch.round(values * self.unit) / self.unit, values)

    def last_reached(self, scores: Tensor) -> Tensor:
        """Search each column for the last knot that is not above a score (N, D), among FAN of ever closer ones."""
        knot, width = self.first, self.knots
        while width > 1:
            fan = min(FAN, width)
            width //= fan
            ahead = knot.unsqueeze(-1) + width * torch.arange(fan)
            knot = knot + width * ((self.at[ahead] <= scores.unsqueeze(-1)).sum(dim=-1) - 1)
        return knot.expand_as(scores)


class MixedRows(nn.Module):
    """Numbers and blocks of choices to rows (N, C) float64: a choice as its index, a gap as NaN."""

    def __init__(self, columns: Sequence[TableColumn], numbers: Numbers | None) -> None:
        super().__init__()
        self.columns, self.numbers = columns, numbers
        layout = layout_of(columns)
        self.at, self.blocks = layout.numbers, layout.blocks

    def forward(self, samples: Tensor) -> Tensor:
        """Return rows in the order of their columns."""
        numbers, heights = samples[:, : len(self.at)], samples[:, len(self.at) :]
        values: dict[int, Tensor] = {}
        if self.numbers is not None:
            values = dict(zip(self.at, self.numbers(numbers).unbind(dim=1), strict=True))
        parts = torch.split(heights, [block.size for block in self.blocks], dim=1) if self.blocks else ()
        for block, part in zip(self.blocks, parts, strict=True):
            column, chosen = self.columns[block.column], part.argmax(dim=1)
            value = chosen.double() if is_choice(column) else values[block.column]
            gap = chosen == block.size - 1
            values[block.column] = torch.where(gap, torch.nan, value) if column.missing else value
        return torch.stack([values[place] for place in range(len(self.columns))], dim=1)


def padded_curve(at: np.ndarray, values: np.ndarray, knots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return knots, values and the slopes behind them, (knots,) each: those that fill up are never reached."""
    steps = np.diff(at)
    slopes = np.divide(np.diff(values), steps, out=np.zeros(len(steps)), where=steps > 0)
    more = knots - len(at)
    return (
        np.concatenate([at, np.full(more, np.inf)]),
        np.concatenate([values, np.full(more, values[-1])]),
        np.concatenate([slopes, np.zeros(more + 1)]),
    )
