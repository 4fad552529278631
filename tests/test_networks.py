"""The networks: their shapes, their exact sizes, where their weights come from, and the parts with a closed form."""

import itertools
import math
from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.quality.dirac import Unchanged
from service.spec.architectures import ARCHITECTURES, architecture_for, model_size
from service.spec.checks import COORDINATES
from service.spec.datasets import DATASETS
from service.spec.facts import DatasetFacts, NetworkSize
from service.spec.job import DatasetRef
from service.spec.parts.model import DiscriminatorSpec, ModelSpec, NetworkSpec
from worker.gan.data.encoding import learn_encoding
from worker.gan.data.registry import open_dataset
from worker.gan.data.training_data import TrainingData, as_seen_by
from worker.gan.networks.activations import clamp_pixels, he_gain, make_activation
from worker.gan.networks.groups import GroupSpread, in_groups
from worker.gan.networks.lite import LiteDiscriminator, LiteGenerator, quarter
from worker.gan.networks.mlp import FourierFeatures
from worker.gan.networks.packed import Packed
from worker.gan.networks.players import Discriminator, Generator, Head, LatentLayer
from worker.gan.networks.r3 import Block
from worker.gan.networks.registry import NETWORKS, make_networks
from worker.gan.networks.short_time import ShortTime, log_powers, powers, turns
from worker.gan.networks.spectral import SpectralNorm
from worker.gan.networks.spectrogram import SpectrogramGenerator
from worker.gan.networks.wave import PhaseShuffle

COUNT = 6
SOUND_LENGTHS = [1, 16, 17, 63, 64, 65, 66, 127, 128, 639, 640, 4_001]
HELD_DISCRIMINATOR = DiscriminatorSpec(width=7, depth=4, spectral_norm=True)
FINE = {"discriminator": DiscriminatorSpec(width=7, octaves=3)}
NARROW = DiscriminatorSpec(width=8)
PACKED_DISCRIMINATOR = DiscriminatorSpec(width=8, packing=3, minibatch_std=2, spectral_norm=True)
PICTURE_SHAPES = [(1, 4, 4), (1, 8, 8), (4, 5, 7), (1, 28, 28), (3, 31, 64), (3, 32, 32)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> TrainingData:
    facts = DatasetFacts("pictures", "image", shape, COUNT, "", labels=("cat", "dog", "owl"))
    samples = torch.rand(COUNT, *shape, generator=seeded()) * 2 - 1
    return TrainingData(facts, samples, torch.arange(COUNT) % 3, Unchanged())


def vectors(dimensions: int) -> TrainingData:
    facts = DatasetFacts("vectors", "vector", (dimensions,), COUNT, "")
    samples = torch.randn(COUNT, dimensions, generator=seeded())
    return TrainingData(facts, samples, None, Unchanged())


def sounds(frames: int) -> TrainingData:
    facts = DatasetFacts("sounds", "audio", (1, frames), COUNT, "", labels=("cat", "dog", "owl"), sample_rate=8_000)
    samples = torch.randn(COUNT, 1, frames, generator=seeded())
    return TrainingData(facts, samples, torch.arange(COUNT) % 3, Unchanged())


def tables(columns: int) -> TrainingData:
    facts = DatasetFacts("tables", "table", (columns,), COUNT, "", labels=("cat", "dog", "owl"))
    rows = torch.randn(COUNT, columns, generator=seeded()).numpy()
    encoding = learn_encoding(facts, rows)
    return TrainingData(facts, encoding.forward(rows), torch.arange(COUNT) % 3, encoding)


def data_for(architecture: str) -> TrainingData:
    made = {"image": pictures(3, 8, 8), "audio": sounds(70), "table": tables(5)}
    data = next(data for modality, data in made.items() if modality in ARCHITECTURES[architecture].modalities)
    return as_seen_by(architecture, data)


def models(data: TrainingData) -> list[ModelSpec]:
    """Every combination of architecture, codebook and conditioning that this data allows."""
    names = [name for name, architecture in ARCHITECTURES.items() if data.facts.modality in architecture.modalities]
    told = [False, True] if data.facts.labels else [False]
    return [
        ModelSpec(architecture=name, latent_dim=9, latent_codes=codes, conditional=conditional, **sizes)
        for name, codes, conditional in itertools.product(names, [0, 5], told)
        for sizes in [
            {},
            {"generator": NetworkSpec(width=12, depth=1), "discriminator": HELD_DISCRIMINATOR},
            {"discriminator": PACKED_DISCRIMINATOR},
            FINE,
        ]
        if sizes != FINE or (name == "mlp" and data.facts.modality in COORDINATES)
    ]


def held(network: nn.Module) -> tuple[int, int]:
    return sum(p.numel() for p in network.parameters()), sum(b.numel() for b in network.buffers())


def said(size: NetworkSize) -> tuple[int, int]:
    return size.parameters, size.buffers


def assert_sizes_and_shapes(data: TrainingData) -> None:
    for model in models(data):
        seen = as_seen_by(model.architecture, data)
        generator, discriminator = make_networks(model, seen, seeded())
        size = model_size(model, data.facts)
        labels = data.labels[:COUNT] if data.labels is not None and model.conditional else None
        latents = generator.draw_latents(COUNT, seeded())

        assert held(generator) == said(size.generator), model
        assert held(discriminator) == said(size.discriminator), model
        samples = generator(latents, labels)
        assert samples.shape == (COUNT, *seen.samples[:1].shape[1:])
        assert discriminator(samples, labels).shape == (COUNT // model.discriminator.packing,)


def test_every_described_architecture_can_be_built() -> None:
    assert ARCHITECTURES.keys() == NETWORKS.keys()


@pytest.mark.parametrize("name", DATASETS)
def test_sizes_and_shapes_are_exact_on_every_built_in_data_set(name: str) -> None:
    assert_sizes_and_shapes(open_dataset(DatasetRef(name=name)))


@pytest.mark.parametrize("shape", PICTURE_SHAPES)
def test_sizes_and_shapes_are_exact_for_pictures_of_any_size(shape: tuple[int, ...]) -> None:
    assert_sizes_and_shapes(pictures(*shape))


@pytest.mark.parametrize("frames", SOUND_LENGTHS)
def test_sizes_and_shapes_are_exact_for_sounds_of_any_length(frames: int) -> None:
    assert_sizes_and_shapes(sounds(frames))


@pytest.mark.parametrize("columns", [1, 5, 100, 300])
def test_sizes_and_shapes_are_exact_for_tables_of_any_width(columns: int) -> None:
    assert_sizes_and_shapes(tables(columns))


def test_auto_convolves_what_is_too_large_to_be_read_number_by_number() -> None:
    chosen = {shape: architecture_for(pictures(*shape).facts) for shape in [(1, 8, 8), (3, 16, 16), (1, 28, 28)]}

    assert chosen == {(1, 8, 8): "mlp", (3, 16, 16): "mlp", (1, 28, 28): "dcgan"}
    assert architecture_for(vectors(1200).facts) == "mlp"


@pytest.mark.parametrize("architecture", NETWORKS)
def test_weights_come_from_the_given_generator_alone(architecture: str) -> None:
    model = ModelSpec(architecture=architecture, conditional=True, latent_codes=4)

    torch.manual_seed(1)
    first = make_networks(model, data_for(architecture), seeded(7))
    torch.manual_seed(2)
    again = make_networks(model, data_for(architecture), seeded(7))
    other = make_networks(model, data_for(architecture), seeded(8))

    for network, same, different in zip(first, again, other, strict=True):
        values = network.state_dict()
        torch.testing.assert_close(same.state_dict(), values, rtol=0, atol=0)
        drawn = [name for name, value in network.named_parameters() if value.unique().numel() > 1]
        assert drawn
        assert all(not torch.equal(different.state_dict()[name], values[name]) for name in drawn)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_latents_are_normal_behind_a_column_of_codes(architecture: str) -> None:
    model = ModelSpec(architecture=architecture, latent_dim=3, latent_codes=5)
    generator, _ = make_networks(model, data_for(architecture), seeded())

    latents = generator.draw_latents(20_000, seeded())

    codes, normals = latents[:, 0], latents[:, 1:]
    assert codes.unique().tolist() == [0, 1, 2, 3, 4]
    assert (torch.bincount(codes.long()) / 20_000).tolist() == pytest.approx([0.2] * 5, abs=0.015)
    assert normals.shape == (20_000, 3)
    torch.testing.assert_close(torch.cov(normals.T), torch.eye(3), atol=0.03, rtol=0)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_codes_and_labels_both_reach_the_samples_and_labels_the_logits(architecture: str) -> None:
    model = ModelSpec(architecture=architecture, latent_dim=3, latent_codes=5, conditional=True)
    generator, discriminator = (network.eval() for network in make_networks(model, data_for(architecture), seeded()))
    latents = torch.zeros(2, 4)
    codes = torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0]])
    cats, mixed = torch.tensor([0, 0]), torch.tensor([0, 1])

    by_code = generator(codes, cats)
    by_label = generator(latents, mixed)
    scores = discriminator(generator(latents, cats), mixed)

    assert not torch.allclose(by_code[0], by_code[1])
    assert not torch.allclose(by_label[0], by_label[1])
    assert scores[0] != scores[1]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_conditional_network_refuses_to_go_without_labels(architecture: str) -> None:
    model = ModelSpec(architecture=architecture, conditional=True)
    generator, discriminator = make_networks(model, data_for(architecture), seeded())

    with pytest.raises(RuntimeError):
        generator(generator.draw_latents(COUNT, seeded()), None)
    with pytest.raises((RuntimeError, TypeError)):
        discriminator(data_for(architecture).samples, None)


@pytest.mark.parametrize("architecture", [name for name in NETWORKS if "image" in ARCHITECTURES[name].modalities])
def test_generated_pictures_stay_between_minus_1_and_1(architecture: str) -> None:
    generator, _ = make_networks(ModelSpec(architecture=architecture), pictures(1, 8, 8), seeded())

    samples = generator(50 * generator.draw_latents(COUNT, seeded()), None)

    assert samples.abs().max() <= 1


def test_a_clamped_pixel_gets_only_gradients_that_lead_back_in() -> None:
    pixels = torch.tensor([-2.0, -2.0, 0.5, 0.5, 2.0, 2.0], requires_grad=True)

    clamped = clamp_pixels(pixels)
    clamped.backward(torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]))

    assert clamped.tolist() == [-1, -1, 0.5, 0.5, 1, 1]
    assert pixels.grad is not None
    assert pixels.grad.tolist() == [0, -1, 1, -1, 1, 0]  # descent subtracts: +1 pushes down


def test_the_clamp_vectorises_over_jobs() -> None:
    pixels = torch.linspace(-2, 2, 10).reshape(2, 5)

    gradient = torch.func.vmap(torch.func.grad(lambda row: clamp_pixels(row).square().sum()))(pixels)

    torch.testing.assert_close(gradient, 2 * pixels.clamp(-1, 1))


@pytest.mark.parametrize("name", ["silu", "leaky_relu"])
def test_the_gain_keeps_the_second_moment_through_the_activation(name: str) -> None:
    inputs = torch.randn(1_000_000, generator=seeded(), dtype=torch.float64)

    outputs = he_gain(name) * make_activation(name)(inputs)

    assert outputs.square().mean().item() == pytest.approx(1, rel=0.01)


def test_the_head_adds_the_projection_on_the_label() -> None:
    head = Head(features=4, classes=3, group=None)
    head.initialise(1.0, seeded())
    features, labels = torch.randn(COUNT, 4, generator=seeded()), torch.arange(COUNT) % 3

    logits = head(features, labels).detach().numpy()

    weight, bias = head.linear.weight.detach().numpy()[0], head.linear.bias.item()
    directions = head.directions.weight.detach().numpy()[labels.numpy()]
    np.testing.assert_allclose(logits, features.numpy() @ weight + bias + (features.numpy() * directions).sum(1), 1e-5)


def test_the_head_of_packs_adds_a_projection_for_each_place() -> None:
    apart, together = (Head(features=4, classes=6, group=None) for _ in range(2))
    apart.initialise(1.0, seeded())
    together.load_state_dict(apart.state_dict())
    features = torch.randn(COUNT, 4, generator=seeded())
    first, second = torch.arange(COUNT) % 3, torch.arange(COUNT) % 3 + 3

    logits = together(features, torch.stack([first, second], dim=1))

    plain = apart.linear(features).squeeze(1)
    torch.testing.assert_close(logits, apart(features, first) + apart(features, second) - plain)


def test_a_pack_holds_consecutive_samples_side_by_side_and_tells_their_labels_apart_by_place() -> None:
    given: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Recording(Discriminator):
        def forward(self, samples: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
            given.append((samples, labels))
            return samples.sum(dim=(1, 2, 3))

    samples = torch.arange(4 * 3.0).reshape(4, 3, 1, 1)

    logits = Packed(Recording(), count=2, classes=10)(samples, torch.tensor([7, 7, 1, 9]))

    [(packs, labels)] = given
    assert packs.flatten(1).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert labels.tolist() == [[7, 17], [1, 19]]
    assert logits.tolist() == [15, 51]


def test_the_first_rows_fill_up_a_group_that_would_be_too_small() -> None:
    assert in_groups(torch.arange(5), 3).tolist() == [[0, 1, 2], [3, 4, 0]]
    assert in_groups(torch.arange(2), 5).tolist() == [[0, 1, 0, 1, 0]]


def test_a_group_s_spread_is_the_mean_deviation_of_its_features_and_tells_copies_from_others() -> None:
    features = torch.randn(7, 5, generator=seeded(), dtype=torch.float64)
    features[3:6] = features[3]

    told = GroupSpread(3)(features)

    assert torch.equal(told[:, :5], features)
    assert told[:3, 5].tolist() == pytest.approx([features[:3].numpy().std(axis=0).mean()] * 3, rel=1e-6)
    assert told[3:6, 5].max() < 1e-3
    last = torch.stack([features[6], features[0], features[1]])
    assert told[6, 5].item() == pytest.approx(last.numpy().std(axis=0).mean(), rel=1e-6)


@pytest.mark.parametrize(("beside", "scores"), [({"packing": 3}, 2), ({"minibatch_std": 3}, 6)], ids=str)
def test_a_discriminator_that_sees_samples_beside_each_other_scores_by_its_own_three_alone(
    beside: dict[str, int], scores: int
) -> None:
    model = ModelSpec(architecture="mlp", discriminator=DiscriminatorSpec(width=8, **beside))
    data = open_dataset(DatasetRef(name="digits"))
    discriminator = make_networks(model, data, seeded())[1].double()
    samples = data.samples[:6].double().requires_grad_()

    logits = discriminator(samples, None)

    (slope,) = torch.autograd.grad(logits[0], samples)
    assert logits.shape == (scores,)
    assert slope.flatten(1).any(dim=1).tolist() == [True] * 3 + [False] * 3


def test_a_pack_is_scored_by_which_of_its_samples_has_which_label() -> None:
    model = ModelSpec(architecture="mlp", conditional=True, discriminator=DiscriminatorSpec(width=8, packing=2))
    data = open_dataset(DatasetRef(name="digits"))
    discriminator = make_networks(model, data, seeded())[1]
    two = data.samples[:2]

    scores = [discriminator(two, torch.tensor(labels)).item() for labels in ([3, 5], [5, 3], [3, 3])]

    assert len(set(scores)) == 3


def test_the_spread_of_copies_can_be_differentiated_twice() -> None:
    features = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)

    (slope,) = torch.autograd.grad(GroupSpread(4)(features)[:, 3].sum(), features, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), features)

    assert slope.isfinite().all()
    assert curvature.isfinite().all()


def test_a_codebook_dominates_the_normal_latents_at_the_start() -> None:
    layer = LatentLayer(latent_dim=4, latent_codes=1_000, classes=0, width=128)
    layer.initialise(1.0, seeded())
    codes = torch.arange(1_000.0)[:, None]

    by_code = layer(torch.cat([codes, torch.zeros(1_000, 4)], dim=1), None)
    by_normals = layer(torch.cat([torch.zeros(1_000, 1), torch.randn(1_000, 4, generator=seeded())], dim=1), None)

    assert by_code.std(dim=0).mean().item() == pytest.approx(1.4, rel=0.05)
    assert by_normals.std(dim=0).mean().item() == pytest.approx(0.6, rel=0.1)


def test_pixels_are_magnified_by_what_they_vary() -> None:
    digits = open_dataset(DatasetRef(name="digits"))
    _, discriminator = make_networks(ModelSpec(architecture="mlp"), digits, seeded())

    factor = dict(discriminator.named_buffers())["scale.factor"]

    spread = digits.samples.double().std(dim=0, correction=0)
    torch.testing.assert_close(factor.double(), 1 / (spread + 0.2), rtol=1e-5, atol=0)


def test_octaves_are_sines_and_cosines_of_doubling_frequency_and_falling_power() -> None:
    points = torch.tensor([[0.3, -1.2]], dtype=torch.float64)

    read = FourierFeatures(3).double()(points)

    waves = [
        2 ** (-octave / 2) * wave(2**octave * coordinate)
        for coordinate in (0.3, -1.2)
        for wave in (math.sin, math.cos)
        for octave in range(3)
    ]
    assert read.tolist()[0] == pytest.approx([0.3, -1.2, *waves])


@pytest.mark.parametrize("architecture", NETWORKS)
def test_every_weight_of_both_networks_gets_a_gradient(architecture: str) -> None:
    data = data_for(architecture)
    model = ModelSpec(architecture=architecture, conditional=True, latent_codes=4)
    generator: Generator
    discriminator: Discriminator
    generator, discriminator = make_networks(model, data, seeded())

    latents = generator.draw_latents(COUNT, seeded())
    discriminator(generator(latents, data.labels), data.labels).square().sum().backward()
    if ARCHITECTURES[architecture].reconstructs:
        discriminator.reconstruction_loss(data.samples, seeded()).backward()

    parameters = [*generator.parameters(), *discriminator.parameters()]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters if prod(p.shape) > 1)


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    weight = torch.randn(5, 3, 2, 2, generator=seeded(), dtype=torch.float64)
    norm = SpectralNorm(weight, seeded(1)).double()

    for _ in range(200):
        normalised = norm(weight)

    largest = torch.linalg.svdvals(weight.flatten(1)).max()
    torch.testing.assert_close(normalised, weight / largest)
    before = norm.left.clone()
    norm.eval()(weight + 1)
    assert torch.equal(norm.left, before)


def test_the_gradient_of_spectral_norm_is_that_of_equation_11() -> None:
    weight = torch.randn(4, 3, generator=seeded(), dtype=torch.float64, requires_grad=True)
    slope = torch.randn(4, 3, generator=seeded(1), dtype=torch.float64)
    norm = SpectralNorm(weight, seeded(2)).double()
    for _ in range(200):
        normalised = norm(weight)

    (slope * normalised).sum().backward()

    left, values, right = (part.detach() for part in torch.linalg.svd(weight))
    along = (slope * normalised.detach()).sum() * torch.outer(left[:, 0], right[0])
    torch.testing.assert_close(weight.grad, (slope - along) / values[0])


def test_every_layer_of_a_resnet_s_discriminator_has_norm_1_after_some_uses() -> None:
    data = pictures(3, 8, 8)
    _, discriminator = make_networks(ModelSpec(architecture="resnet", conditional=True), data, seeded())

    for _ in range(100):
        discriminator(data.samples, data.labels)

    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) == 9
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 17, 32), (1, 64, 33), (3, 150, 70)])
def test_what_a_lite_discriminator_draws_is_compared_with_the_picture_and_a_quarter_of_it(
    shape: tuple[int, ...],
) -> None:
    data = pictures(*shape)
    _, discriminator = make_networks(ModelSpec(architecture="lite", discriminator=NARROW), data, seeded())
    assert isinstance(discriminator, LiteDiscriminator)
    drawn: list[torch.Tensor] = []
    for decoder in (discriminator.whole, discriminator.part):
        decoder.register_forward_hook(lambda _, __, picture: drawn.append(picture))

    loss = discriminator.reconstruction_loss(data.samples, seeded(3))

    whole, part = drawn
    corner = int(torch.randint(4, (), generator=seeded(3)))
    targets = [
        nn.functional.interpolate(picture, whole.shape[2:], mode="area")
        for picture in (data.samples, quarter(data.samples, corner))
    ]
    assert loss.item() == pytest.approx(sum(((a - b) ** 2).mean().item() for a, b in zip(drawn, targets, strict=True)))
    assert whole.shape == part.shape
    assert all(half <= side // 2 for half, side in zip(whole.shape[2:], shape[1:], strict=True))


def test_the_four_quarters_are_the_corners() -> None:
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)

    assert [quarter(picture, corner)[0, 0, 0, 0].item() for corner in range(4)] == [0, 2, 8, 10]
    assert quarter(picture, 3).flatten().tolist() == [10, 11, 14, 15]


def test_a_small_map_of_a_lite_generator_weighs_whole_channels_of_the_picture_sized_one() -> None:
    generator, _ = make_networks(ModelSpec(architecture="lite", generator=NARROW), pictures(3, 32, 32), seeded())
    assert isinstance(generator, LiteGenerator)
    weights: list[torch.Tensor] = []
    generator.weighing["0"].register_forward_hook(lambda _, __, weight: weights.append(weight))

    generator(generator.draw_latents(COUNT, seeded()), None)

    assert list(generator.weighing) == ["0"]
    assert weights[0].shape == (COUNT, 8, 1, 1)
    assert ((weights[0] > 0) & (weights[0] < 1)).all()


def test_a_block_of_r3_starts_near_the_identity() -> None:
    _, discriminator = make_networks(ModelSpec(architecture="r3"), pictures(3, 16, 16), seeded())
    block = next(layer for layer in discriminator.modules() if isinstance(layer, Block))
    features = torch.randn(50, 128, 16, 16, generator=seeded())

    added = block(features) - features

    assert 0.02 < added.var().item() < 0.15  # 0.25 squared, were nothing lost at the edges


def test_phase_shuffle_shifts_each_sample_mirrored_at_its_ends_by_torch_s_own_seed() -> None:
    features = torch.arange(8.0).expand(200, 3, 8)
    shuffle = PhaseShuffle()

    torch.manual_seed(1)
    shifted = shuffle(features)
    torch.manual_seed(1)
    again = shuffle(features)

    by_two = {tuple(row) for row in shifted[:, 0].tolist()}
    assert by_two == {
        (2, 1, 0, 1, 2, 3, 4, 5),
        (1, 0, 1, 2, 3, 4, 5, 6),
        (0, 1, 2, 3, 4, 5, 6, 7),
        (1, 2, 3, 4, 5, 6, 7, 6),
        (2, 3, 4, 5, 6, 7, 6, 5),
    }
    assert torch.equal(shifted, again)
    assert torch.equal(shifted[:, 0], shifted[:, 2])
    assert torch.equal(shuffle.eval()(features), features)


@pytest.mark.parametrize("samples", [1, 127, 128, 300, 4_000])
def test_a_sound_comes_back_from_its_spectra(samples: int) -> None:
    short_time = ShortTime(samples).double()
    noise = torch.randn(3, 2, samples, generator=seeded(), dtype=torch.float64)

    spectra = short_time.spectra(noise)

    assert spectra.shape == (3, 2, 129, 1 + math.ceil(samples / 128))
    torch.testing.assert_close(short_time.sounds(spectra), noise)


@pytest.mark.parametrize("samples", [127, 255, 4_000])
def test_any_spectra_make_a_sound_that_is_as_loud_at_its_end_as_elsewhere(samples: int) -> None:
    spectra = torch.randn(500, 1, 129, 1 + math.ceil(samples / 128), 2, generator=seeded())

    sounds = ShortTime(samples).sounds(torch.view_as_complex(spectra))

    spread = sounds.square().mean(dim=(0, 1)).sqrt()
    assert spread[-1].item() < 2 * spread.median().item()


def test_a_frame_of_noise_at_unit_spread_has_power_1() -> None:
    noise = torch.randn(50, 1, 4_000, generator=seeded())

    power = powers(ShortTime(4_000).spectra(noise))[:, :, 1:-1, 1:-1]

    assert power.mean().item() == pytest.approx(1, rel=0.02)


def test_a_steady_tone_turns_alike_in_all_frames_and_bins_around_it_whatever_its_phase() -> None:
    hertz, rate, begins = 440.0, 16_000, torch.tensor([0.0, 1.0, 2.5])
    tones = 3 * torch.cos(2 * math.pi * hertz * torch.arange(4_000) / rate + begins[:, None])
    spectra = ShortTime(4_000).spectra(tones[:, None])

    cosines, sines = turns(spectra)

    advance = 2 * math.pi * hertz * 128 / rate
    around, whole = slice(6, 9), slice(3, -3)  # bins of 62.5 Hz; frames that see no silence
    torch.testing.assert_close(
        cosines[:, 0, around, whole], torch.full((3, 3, 27), math.cos(advance)), atol=0.03, rtol=0
    )
    torch.testing.assert_close(sines[:, 0, around, whole], torch.full((3, 3, 27), math.sin(advance)), atol=0.03, rtol=0)
    assert cosines[:, 0, 60:, whole].abs().max() < 0.01


def test_turns_and_loudness_of_silence_can_be_differentiated_twice() -> None:
    silence = torch.zeros(2, 1, 500, dtype=torch.float64, requires_grad=True)
    spectra = ShortTime(500).double().spectra(silence)

    told = log_powers(spectra).sum() + sum(part.sum() for part in turns(spectra))
    (slope,) = torch.autograd.grad(told, silence, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum() + slope.sum(), silence)

    assert slope.isfinite().all()
    assert curvature.isfinite().all()


def test_a_generator_of_spectrograms_starts_about_as_loud_as_the_data() -> None:
    data = open_dataset(DatasetRef(name="tones"))
    generator, _ = make_networks(ModelSpec(architecture="spectrogram", conditional=True), data, seeded())
    assert isinstance(generator, SpectrogramGenerator)

    made = generator(generator.draw_latents(24, seeded()), torch.arange(24) % 12).detach()

    assert 0.3 < (made.std() / data.specimens().std()).item() < 3
