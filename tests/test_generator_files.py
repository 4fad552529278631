"""Files of a training: readable by any safetensors reader, byte for byte the same for the same training."""

import json
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from small_training import small_spec, small_training

from service.spec.headers import METADATA_KEY
from service.spec.job import DatasetRef
from service.spec.parts.model import ModelSpec
from worker.gan.data.registry import open_dataset
from worker.gan.files import (
    MissingPart,
    UnreadableState,
    generator_file,
    parts,
    read_state,
    state_pieces,
    write_state,
)
from worker.gan.networks.registry import make_networks
from worker.gan.state import TrainingState
from worker.gan.training import Training


def trained(*, half_life_samples: int = 100, dataset: str = "ring") -> Training:
    training = small_training(small_spec(dataset=dataset, model={"ema": {"half_life_samples": half_life_samples}}))
    for _ in range(3):
        training.step()
    return training


def metadata_of(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata()
    return metadata


def test_a_state_reads_back_as_it_was_written(tmp_path: Path) -> None:
    state = trained().state()
    path = tmp_path / "state.safetensors"
    path.write_bytes(write_state(state))

    from_path, from_bytes = read_state(path), read_state(write_state(state))

    assert from_path.facts == from_bytes.facts == state.facts
    for read in (from_path, from_bytes):
        assert set(read.tensors) == set(state.tensors)
        assert all(torch.equal(read.tensors[name], tensor) for name, tensor in state.tensors.items())


def test_a_file_is_laid_out_as_safetensors_does_it() -> None:
    tensors = {
        "whole": torch.arange(3),
        "precise": torch.randn(5, dtype=torch.float64),
        "b": torch.randn(2, 3),
        "a": torch.randn(()),
        "é": torch.zeros(0, 4),
        "flags": torch.tensor([True, False]),
        "one": torch.randn(1, 7).T[:1],
    }
    facts = {"step": 3, "said": 'in "quotes", ä'}

    written = write_state(TrainingState(tensors, facts))

    text = json.dumps({"format": 1, **facts}, sort_keys=True, separators=(",", ":"))
    assert written == safetensors.torch.save(tensors, metadata={METADATA_KEY: text})


def test_what_is_not_in_order_in_memory_is_not_written() -> None:
    with pytest.raises(ValueError, match="in order"):
        write_state(TrainingState({"turned": torch.randn(2, 3).T}, {}))


def test_the_pieces_of_a_file_are_the_memory_of_the_tensors() -> None:
    tensor = torch.zeros(4)

    _, piece = state_pieces(TrainingState({"weights": tensor}, {}))
    tensor.fill_(1)

    assert bytes(piece) == torch.ones(4).numpy().tobytes()


def test_a_state_names_its_tensors_by_what_they_belong_to() -> None:
    state = trained().state()

    owners = {name.split(".")[0] for name in state.tensors}
    roles = {name.rpartition(".")[2] for name in state.tensors if name.startswith("optimizer.generator.")}
    assert owners == {"generator", "discriminator", "ema", "optimizer", "encoding"}
    assert roles == {"step", "exp_avg", "exp_avg_sq"}


def test_a_snapshot_does_not_change_when_the_training_goes_on() -> None:
    training = trained()
    state = training.state()
    before = write_state(state)

    training.step()

    assert write_state(state) == before
    assert write_state(training.state()) != before


@pytest.mark.parametrize("which", ["generator", "ema"])
@pytest.mark.parametrize("dataset", ["ring", "digits"])
def test_a_generator_is_built_again_from_its_file_alone(dataset: str, which: str, tmp_path: Path) -> None:
    training = trained(dataset=dataset)
    path = tmp_path / "generator.safetensors"
    path.write_bytes(generator_file(training.state(), which))  # type: ignore[arg-type]

    facts = json.loads(metadata_of(path)[METADATA_KEY])
    data = open_dataset(DatasetRef.model_validate(facts["dataset"]))
    generator, _ = make_networks(ModelSpec.model_validate(facts["model"]), data, torch.Generator())
    tensors = safetensors.torch.load_file(path)
    generator.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith("encoding.")})

    if which == "generator":
        training.average = None
    latents, labels = training.fixed_latents()
    assert torch.equal(generator.eval()(latents, labels), training.sample(latents, labels))
    assert facts["step"] == 3
    assert facts["data"]["shape"] == list(data.facts.shape)


def test_everything_that_is_no_tensor_stands_in_one_metadata_key(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(write_state(trained().state()))

    assert list(metadata_of(path)) == [METADATA_KEY]


def test_the_average_differs_from_the_weights_and_is_absent_where_none_is_kept() -> None:
    with_average, without = trained().state(), trained(half_life_samples=0).state()

    assert parts(with_average) == ("generator", "ema")
    assert generator_file(with_average, "ema") != generator_file(with_average, "generator")
    assert parts(without) == ("generator",)
    with pytest.raises(MissingPart, match="ema"):
        generator_file(without, "ema")


def test_a_generators_file_does_not_tell_how_it_was_interrupted() -> None:
    unbroken, resumed = trained(), trained()
    resumed.restore(read_state(write_state(resumed.state())))

    assert generator_file(resumed.state(), "generator") == generator_file(unbroken.state(), "generator")


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 64, b"\xff" * 64])
def test_what_is_no_state_is_refused(damage: bytes) -> None:
    with pytest.raises(UnreadableState):
        read_state(damage)


def test_a_truncated_state_is_refused() -> None:
    with pytest.raises(UnreadableState):
        read_state(write_state(trained().state())[:-1])


def test_tensors_without_the_metadata_are_refused() -> None:
    with pytest.raises(UnreadableState):
        read_state(safetensors.torch.save({"weight": torch.zeros(1)}))


def test_another_format_is_refused_by_its_number() -> None:
    other = safetensors.torch.save({"weight": torch.zeros(1)}, metadata={METADATA_KEY: '{"format":99}'})

    with pytest.raises(UnreadableState, match="format"):
        read_state(other)


def test_a_state_of_other_networks_is_not_loaded() -> None:
    training = trained()
    state = training.state()
    foreign = TrainingState({**state.tensors, "generator.unknown": torch.zeros(1)}, state.facts)

    with pytest.raises(RuntimeError, match="unknown"):
        training.restore(foreign)
