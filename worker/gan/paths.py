"""Paths through latents: frames between a few key samples, so that one turns into the next."""

from dataclasses import dataclass

import torch
from torch import Tensor

from service.spec.drawing import Walk

STRAIGHT = 1e-4  # sine of the angle between two keys below which the way from one to the other is straight


@dataclass(frozen=True)
class Frames:
    """Where each of N frames stands: `share` (N,) of the way from the key `before` (N,) to the key `after` (N,)."""

    before: Tensor
    after: Tensor
    share: Tensor

    @property
    def nearer(self) -> Tensor:
        """The nearer key of each frame (N,): of what there is no half of, such as a class, it has this one's."""
        return torch.where(self.share < 0.5, self.before, self.after)


def frames_of(walk: Walk, count: int) -> Frames:
    """Spread frames evenly over a path. An open one ends at its last key, a closed one just before its first."""
    legs = walk.keys if walk.closed else walk.keys - 1
    steps = count if walk.closed else count - 1
    places = torch.arange(count) * legs
    before = (places // steps).clamp_max(legs - 1)  # the end of the last leg belongs to it
    share = (places - before * steps).double() / steps
    return Frames(before, (before + 1) % walk.keys, share)


def follow(keys: Tensor, normals: slice, frames: Frames) -> Tensor:
    """Return the latents (N, L) of frames between those of keys (K, L); what is not normal is the nearer key's."""
    latents = keys[frames.nearer]
    between = keys[:, normals].double()
    latents[:, normals] = turn(between[frames.before], between[frames.after], frames.share[:, None]).to(keys.dtype)
    return latents


def turn(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Interpolate spherically from some vectors (N, D) to others: equation (1) of White 2016, arXiv 1609.04468.

    Normal latents of many dimensions lie close to a sphere; on the straight way between two of them, lengths occur that
    none has. Where there is no angle between two, as in one dimension, the way is straight all the same.
    """
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=1)[:, None]
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    is_straight = sine < STRAIGHT
    sine = sine.where(~is_straight, torch.ones_like(sine))
    first = torch.where(is_straight, 1 - share, ((1 - share) * angle).sin() / sine)
    second = torch.where(is_straight, share, (share * angle).sin() / sine)
    return first * start + second * end
