"""Random changes of the pictures that D is shown, for little data: DiffAugment, and ADA's adaptive probability.

Zhao et al. 2020 (arXiv 2006.10738): the same kind of changes on reals and fakes, differentiable, so that neither the
generator learns the changes nor D the data by heart. Karras et al. 2020 (arXiv 2006.06676): only as often as needed.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from service.spec.parts.objective import AugmentSpec
from worker.gan.rounds import View

FURTHEST = 1 / 8  # of a side, that a picture is moved
HOLE = 1 / 2  # of a side, that is cut out


class Augment(View):
    """Change each picture (N, C, H, W) by each kind of the policy with one probability, which is part of the state."""

    probability: Tensor

    def __init__(self, spec: AugmentSpec) -> None:
        super().__init__()
        self._spec = spec
        self.adapts = spec.probability == "adaptive"
        self.register_buffer("probability", torch.tensor(0.0 if spec.probability == "adaptive" else spec.probability))

    def forward(self, samples: Tensor, random: torch.Generator) -> Tensor:
        """Change pictures; what is drawn does not depend on the probability."""
        for name, change in CHANGES.items():
            if name in self._spec.policy:
                chosen = torch.rand(len(samples), 1, 1, 1, generator=random).to(samples) < self.probability
                samples = torch.where(chosen, change(samples, random), samples)
        return samples

    @torch.no_grad()
    def adapt(self, real_logits: Tensor, count: int) -> None:
        """Raise the probability where D is too sure of reals, r_t of Karras et al. 2020, equation 1; else lower it."""
        if self.adapts:
            surer = real_logits.sign().mean() - self._spec.target
            self.probability.add_(surer.sign() * (count / self._spec.rise_samples)).clamp_(0, 1)


def change_colour(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Change brightness by up to 1/2, saturation by a factor of up to 2, contrast by one from 1/2 to 3/2."""
    brightness, saturation, contrast = torch.rand(3, len(pictures), 1, 1, 1, generator=random).to(pictures)
    pictures = pictures + (brightness - 0.5)
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = grey + 2 * saturation * (pictures - grey)
    middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
    coloured: Tensor = middle + (contrast + 0.5) * (pictures - middle)
    return coloured


def move(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Move each picture by up to an eighth of its sides, at least a pixel; 0 comes in from beyond."""
    furthest = [max(1, round(FURTHEST * side)) for side in pictures.shape[2:]]
    rows, columns = (
        torch.arange(side) + torch.randint(2 * far + 1, (len(pictures), 1), generator=random)
        for side, far in zip(pictures.shape[2:], furthest, strict=True)
    )
    beyond = functional.pad(pictures, [furthest[1]] * 2 + [furthest[0]] * 2).movedim(1, 3)
    which = torch.arange(len(pictures))[:, None, None]
    places = (place.to(pictures.device) for place in (which, rows[:, :, None], columns[:, None, :]))
    moved: Tensor = beyond[tuple(places)].movedim(3, 1)
    return moved


def cut_out(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Set to 0 a rectangle of half of each side about a random pixel, as far as it lies in the picture."""
    inside = []
    for side in pictures.shape[2:]:
        hole = max(1, round(HOLE * side))
        first = torch.randint(side, (len(pictures), 1), generator=random) - hole // 2
        inside.append((torch.arange(side) >= first) & (torch.arange(side) < first + hole))
    kept = ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])
    return pictures * kept.to(pictures)


CHANGES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "colour": change_colour,
    "translation": move,
    "cutout": cut_out,
}
