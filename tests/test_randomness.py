"""Draws follow from (seed, stream, draw) alone; reals come in permutations that follow from the epoch alone."""

import torch

from service.spec.job import LARGEST_SEED
from worker.gan.batches import RealBatches
from worker.gan.randomness import STREAM_BITS, Stream, random_for, seed_for, seed_torch


def draw(seed: int, stream: Stream, number: int) -> torch.Tensor:
    return torch.randn(8, generator=random_for(seed, stream, number))


def test_equal_arguments_draw_equal_numbers() -> None:
    assert torch.equal(draw(5, Stream.LATENTS, 17), draw(5, Stream.LATENTS, 17))


def test_another_seed_stream_or_number_draws_others() -> None:
    first = draw(5, Stream.LATENTS, 17)

    others = [draw(6, Stream.LATENTS, 17), draw(5, Stream.LATENTS_AGAIN, 17), draw(5, Stream.LATENTS, 18)]

    assert not any(torch.equal(first, other) for other in others)


def test_no_two_draws_of_a_job_share_a_seed() -> None:
    for seed in (0, 1, LARGEST_SEED):
        seeds = {seed_for(seed, stream, number) for stream in Stream for number in range(40_000)}

        # A hash to 32 bits would already have met itself some seven times.
        assert len(seeds) == len(Stream) * 40_000


def test_every_stream_fits_its_bits() -> None:
    assert max(Stream) < 1 << STREAM_BITS


def test_latents_of_successive_steps_are_uncorrelated() -> None:
    draws = torch.stack([draw(1, Stream.LATENTS, number) for number in range(4_000)])

    correlation = torch.corrcoef(torch.cat([draws[:-1], draws[1:]], dim=1).T)

    assert (correlation - torch.eye(16)).abs().max() < 0.08  # five standard errors


def test_what_layers_draw_by_themselves_follows_from_the_step() -> None:
    dropout, ones = torch.nn.Dropout(), torch.ones(64)

    masks = []
    for step in (3, 4, 3):
        seed_torch(1, step, torch.device("cpu"))
        masks.append(dropout(ones))

    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])


def numbered_batches(count: int, batch_size: int, *, seed: int = 1) -> RealBatches:
    return RealBatches(torch.arange(count), None, batch_size=batch_size, seed=seed)


def test_every_sample_comes_once_an_epoch_though_batches_straddle_epochs() -> None:
    batches = numbered_batches(10, 4)

    seen = torch.cat([batches.batch(number).samples for number in range(5)])

    assert sorted(seen[:10].tolist()) == list(range(10))
    assert sorted(seen[10:].tolist()) == list(range(10))
    assert not torch.equal(seen[:10], seen[10:])


def test_a_batch_follows_from_its_number_in_any_order() -> None:
    forwards, backwards = numbered_batches(100, 8), numbered_batches(100, 8)

    ahead = [forwards.batch(number).samples for number in range(60)]
    back = [backwards.batch(number).samples for number in reversed(range(60))]

    assert all(torch.equal(one, other) for one, other in zip(ahead, reversed(back), strict=True))


def test_another_seed_orders_the_data_anew() -> None:
    assert not torch.equal(
        numbered_batches(100, 50).batch(0).samples, numbered_batches(100, 50, seed=2).batch(0).samples
    )


def test_labels_stay_with_their_samples() -> None:
    batches = RealBatches(torch.arange(50), torch.arange(50) % 7, batch_size=16, seed=3)

    batch = batches.batch(5)

    assert batch.labels is not None
    assert torch.equal(batch.labels, batch.samples % 7)
