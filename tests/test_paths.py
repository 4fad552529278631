"""Paths through latents: where frames stand, and that the way between two keys is an arc."""

import math

import pytest
import torch

from service.spec.drawing import Walk
from worker.gan.paths import follow, frames_of, turn


@pytest.mark.parametrize(
    ("closed", "places"),
    [
        (True, [0, 0.5, 1, 1.5, 2, 2.5]),  # the next would be at the first key again
        (False, [0, 0.4, 0.8, 1.2, 1.6, 2]),
    ],
)
def test_frames_are_spread_evenly_over_a_path(closed: bool, places: list[float]) -> None:
    frames = frames_of(Walk(3, closed), 6)

    assert (frames.before + frames.share).tolist() == pytest.approx(places)
    assert frames.nearer.tolist() == [math.floor(place + 0.5) % 3 for place in places]


def test_between_two_vectors_the_angle_grows_evenly_and_the_length_stays() -> None:
    start, end = torch.tensor([[3.0, 0, 0]]).double(), torch.tensor([[0, 0, 3.0]]).double()
    share = torch.tensor([[0.0], [1 / 3], [1.0]]).double()

    between = turn(start, end, share)

    assert between.tolist() == [
        pytest.approx([3 * math.cos(angle), 0, 3 * math.sin(angle)]) for angle in (0, math.pi / 6, math.pi / 2)
    ]
    assert torch.equal(between[0], start[0])


@pytest.mark.parametrize("end", [2.0, -4.0])
def test_in_one_dimension_the_way_is_straight(end: float) -> None:
    assert turn(torch.tensor([[4.0]]), torch.tensor([[end]]), torch.tensor([[0.25]])).item() == 4 + (end - 4) / 4


def test_of_what_is_no_normal_a_frame_has_the_nearer_keys() -> None:
    keys = torch.tensor([[7.0, 1, 0, 0.5], [9.0, 0, 1, 0.25]])  # a code, two normals, the noise of a choice

    frames = follow(keys, slice(1, 3), frames_of(Walk(2, closed=False), 5))

    assert frames[:, [0, 3]].tolist() == [[7, 0.5]] * 2 + [[9, 0.25]] * 3
    assert torch.equal(frames[[0, -1]], keys)
