"""Sounds as mixtures: what components keep, and how classes that are mixtures of few make nothing else."""

import numpy as np
import torch
from torch import Tensor

from service.spec.job import DatasetRef
from service.spec.parts.model import ModelSpec
from worker.gan.data.registry import open_dataset
from worker.gan.networks.components import ClassAxes, Components
from worker.gan.networks.mlp import MlpGenerator


def mixtures_of_three(count: int) -> Tensor:
    """Draw mixtures, the first component the strongest, of 50 values each."""
    random = torch.Generator().manual_seed(1)
    axes, _ = torch.linalg.qr(torch.randn(50, 3, generator=random))
    return torch.randn(count, 3, generator=random) * torch.tensor([9.0, 6.0, 3.0]) @ axes.T


def test_mixtures_of_few_are_taken_apart_and_mixed_again() -> None:
    samples = mixtures_of_three(40)
    components = Components(8, 50)

    components.learn(samples)

    mixtures = components(samples)
    torch.testing.assert_close(components.mix(mixtures), samples, atol=1e-4, rtol=1e-4)
    assert not mixtures[:, 3:].any()
    assert (mixtures[:, 0].square().mean() > mixtures[:, 1].square().mean()).item()


def test_strong_components_have_about_unit_variance() -> None:
    samples = mixtures_of_three(1_000)
    components = Components(3, 50)

    components.learn(100 * samples)

    spread = components(100 * samples).square().mean(dim=0)
    assert 1 < spread[0].item() < 1.5
    assert spread[2].item() < 0.5


def test_silence_has_no_components() -> None:
    components = Components(3, 50)

    components.learn(torch.zeros(10, 50))

    assert not components.mix(torch.ones(2, 3)).any()
    assert not components(torch.zeros(2, 50)).any()


def test_a_class_of_few_axes_makes_nothing_off_them_and_any_other_keeps_all() -> None:
    random = torch.Generator().manual_seed(1)
    flat = torch.randn(100, 4, generator=random) * torch.tensor([2.0, 0.0, 1.0, 0.0])
    full = torch.randn(30, 4, generator=random)
    axes = ClassAxes(2, 4)

    axes.learn(torch.cat([flat, full]), torch.tensor([0] * 100 + [1] * 30))

    drawn = torch.randn(5_000, 4, generator=random)
    turned = axes(drawn, torch.zeros(5_000, dtype=torch.long))
    np.testing.assert_allclose(turned.std(dim=0), flat.std(dim=0), rtol=0.1, atol=1e-6)
    assert torch.equal(axes(drawn, torch.ones(5_000, dtype=torch.long)), drawn)


def test_even_an_untrained_generator_of_tones_makes_no_sound_but_those_of_the_pitch() -> None:
    data = open_dataset(DatasetRef(name="tones", params={"count": 400}))
    generator = MlpGenerator(ModelSpec(conditional=True, latent_dim=8), data.facts, torch.Generator().manual_seed(1))
    generator.start_from(data)

    with torch.no_grad():
        made = generator(generator.draw_latents(12, torch.Generator().manual_seed(2)), torch.arange(12))

    spectrum = np.abs(np.fft.rfft(made[:, 0].double().numpy() * np.hanning(4_000), n=32_000))
    hertz = spectrum.argmax(axis=1) * 16_000 / 32_000
    np.testing.assert_allclose(hertz, 440 * 2 ** ((np.arange(12) - 9) / 12), rtol=0.005)
