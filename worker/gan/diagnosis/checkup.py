"""What the recorded rows cannot tell, measured now and then: how varied the samples are, and how far from the data."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.gan.data.training_data import TrainingData
from worker.gan.randomness import Stream, random_for
from worker.gan.sampling import shown_labels
from worker.gan.training import Training

CHECK_EVERY_STEPS = 50
_SPECIMENS = 128  # one call of G and three of D: of most recipes a hundredth of the steps between two check-ups
_MOST_CLASSES = _SPECIMENS // 4  # of more there are too few specimens each to tell a spread within
_ANCHORS = 16
_LATENTS = 1  # draw of the stream of samples; draw 0 is the timeline


@dataclass(frozen=True)
class Checkup:
    """Measurements at a step, in network units.

    diversity is the spread of generated samples over that of reals, each within their classes where they are made by
    class: samples that follow from the class alone have collapsed. coverage is the number of places in the data that
    generated samples reach, over that which as many reals reach. distance is the normalised energy distance of the two:
    0 for equal distributions, at most 1. fooled is how often D scores a generated sample higher than a real that it was
    trained on: 0.5 where it can only guess. memory is how much higher D scores reals that it was trained on than those
    held out, in logits for each sample; None where next to nothing was held out.
    """

    step: int
    diversity: float
    coverage: float
    distance: float
    fooled: float
    memory: float | None


class Examiner:
    """Measures one training, always from the same latents beside the same reals. It leaves no trace in
    the training, whose random streams it does not draw from.
    """

    def __init__(self, training: Training) -> None:
        data = training.data
        self._reals = data.specimens(_SPECIMENS).flatten(start_dim=1)
        self._anchors = _spread_out(self._reals, _ANCHORS)
        self._latents = training.draw_latents(_SPECIMENS, random_for(training.seed, Stream.SAMPLES, _LATENTS))
        conditional = training.spec.model.conditional
        self._labels = shown_labels(_SPECIMENS, data.facts) if conditional else None
        self._by_class = conditional and len(data.facts.labels) <= _MOST_CLASSES
        self._known = _known(data, conditional=conditional)
        self._unknown = _unknown(data, conditional=conditional)
        self._spread = self._spread_of(self._reals, data.specimen_labels(_SPECIMENS))
        self._real_places = _places(self._reals, self._anchors)
        self._real_distance = torch.pdist(self._reals).mean()

    def examine(self, training: Training) -> Checkup:
        """Measure a training between two steps."""
        drawn = training.draw(self._latents, self._labels)
        fakes = drawn.flatten(start_dim=1).float()
        between = torch.cdist(fakes, self._reals).mean()
        within = torch.pdist(fakes).mean()
        energy = (2 * between - within - self._real_distance) / (2 * between)
        known = training.score(*self._known)
        return Checkup(
            step=training.step_number,
            diversity=float(self._spread_of(fakes, self._labels) / self._spread),
            coverage=_places(fakes, self._anchors) / self._real_places,
            distance=float(energy.clamp(min=0)),
            fooled=_how_often_above(self._score(training, drawn), known),
            memory=self._memory(training, known),
        )

    def _spread_of(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        return _spread(samples, labels if self._by_class else None)

    def _score(self, training: Training, drawn: Tensor) -> Tensor:
        which = _mixed(len(drawn))
        return training.score(drawn[which], None if self._labels is None else self._labels[which])

    def _memory(self, training: Training, known: Tensor) -> float | None:
        if self._unknown is None:
            return None
        unknown = training.score(*self._unknown)
        if len(unknown) < 2:
            return None
        return float(known.mean() - unknown.mean()) / training.spec.model.discriminator.packing


def _spread_out(samples: Tensor, count: int) -> Tensor:
    """Return so many of the samples (N, D), each the farthest from those before (Gonzalez 1985): one in each mode."""
    chosen = [0]
    while len(chosen) < min(count, len(samples)):
        chosen.append(int(torch.cdist(samples, samples[chosen]).amin(dim=1).argmax()))
    return samples[chosen]


def _spread(samples: Tensor, labels: Tensor | None) -> Tensor:
    """Return the root of the mean variance of samples (N, D), within the classes that labels (N,) name, if any."""
    classes = torch.zeros(len(samples)) if labels is None else labels
    present, which = torch.unique(classes, return_inverse=True)
    sums = torch.zeros(len(present), samples.shape[1]).index_add(0, which, samples)
    means = sums / which.bincount().unsqueeze(1)
    variances = (samples - means[which]).square().sum(dim=0) / (len(samples) - len(present))
    spread: Tensor = variances.mean().sqrt().clamp(min=1e-12)
    return spread


def _places(samples: Tensor, anchors: Tensor) -> float:
    """Return how many anchors samples are nearest to, as the exponential of the entropy of their shares."""
    shares = torch.cdist(samples, anchors).argmin(dim=1).bincount(minlength=len(anchors)) / len(samples)
    return float(torch.special.entr(shares).sum().exp())


def _how_often_above(scores: Tensor, others: Tensor) -> float:
    return float((scores.flatten()[:, None] > others.flatten()).float().mean())


def _known(data: TrainingData, *, conditional: bool) -> tuple[Tensor, Tensor | None]:
    which = _some_of(len(data.samples))
    return data.samples[which], data.labels[which] if conditional and data.labels is not None else None


def _unknown(data: TrainingData, *, conditional: bool) -> tuple[Tensor, Tensor | None] | None:
    if data.held_out is None:
        return None
    rows = data.held_out.taken(_some_of(len(data.held_out.values)).numpy())
    labels = torch.from_numpy(rows.labels) if conditional and rows.labels is not None else None
    return data.encoding.forward(rows.values), labels


def _some_of(count: int) -> Tensor:
    """Choose rows evenly from all, in mixed order."""
    evenly = torch.linspace(0, count - 1, min(_SPECIMENS, count)).long()
    return evenly[_mixed(len(evenly))]


def _mixed(count: int) -> Tensor:
    """Return places in mixed order: a D that sees several together has never seen a class by itself."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))
