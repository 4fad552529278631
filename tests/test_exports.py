"""Exported generators: what other programs compute from the files is what the generator makes."""

import io
import json
import re
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from small_training import CPU, small_spec, small_training
from torch import Tensor
from torch.export import ExportedProgram

from service.spec.datasets import SURVEY
from service.spec.exports import EXPORT_FORMATS, SUFFIXES, ExportFormat
from service.spec.tables import is_choice, table_shape
from tests.reference import ROOT
from worker.gan import exports
from worker.gan.data.phases import sounds_as_loud
from worker.gan.data.registry import OPENERS
from worker.gan.data.split import EVERYTHING
from worker.gan.data.training_data import Rows, TrainingData, open_rows
from worker.gan.exports import EXTRA_FILE, WRITE, NotInstalled, Program, describe, export_generator, trace
from worker.gan.files import generator_file
from worker.gan.generation import OpenedGenerator, open_generator
from worker.gan.randomness import Stream, random_for
from worker.gan.sampling import sample
from worker.gan.training import Training

# Each architecture, each encoding, and each way in which labels and codes enter.
CASES: dict[str, dict[str, Any]] = {
    "points": {"dataset": "ring", "model": {"latent_codes": 3}},
    "pictures": {"dataset": "digits", "model": {"conditional": True}},
    "numbers": {"dataset": "iris", "model": {"conditional": False}},
    "rows": {"dataset": "survey", "model": {"conditional": True, "latent_codes": 3}},
    "dcgan": {"dataset": "digits", "model": {"architecture": "dcgan", "conditional": False}},
    "resnet": {"dataset": "digits", "model": {"architecture": "resnet", "conditional": True}},
    "r3": {"dataset": "digits", "model": {"architecture": "r3", "conditional": False}},
    "lite": {"dataset": "digits", "model": {"architecture": "lite", "conditional": True}},
    "mixtures": {"dataset": "tones", "model": {"architecture": "mlp", "conditional": True}},
    "timbre": {"dataset": "tones", "model": {"architecture": "timbre", "conditional": False}},
    "wave": {"dataset": "tones", "model": {"architecture": "wave", "conditional": False}},
    "spectrogram": {"dataset": "tones", "model": {"architecture": "spectrogram", "conditional": True}},
}
TOLERANCE = 1e-5  # of the largest number


@cache
def a_file(name: str) -> bytes:
    """Return the hardly trained generator of a case."""
    spec = small_spec(**CASES[name])
    training = (
        Training(spec, few_columns(), device=CPU, dtype=torch.float32) if name == "rows" else small_training(spec)
    )
    training.step()
    return generator_file(training.state(), "generator")


def few_columns() -> TrainingData:
    """Open a part of the survey: each column more makes the program longer, and each export."""
    rows, places = OPENERS["survey"](SURVEY, None), [1, 6, 7, 10]
    table = tuple(SURVEY.table[place] for place in places)
    names = tuple(column.name for column in table)
    facts = replace(SURVEY, table=table, columns=names, shape=table_shape(table), count=2_000)
    labels = None if rows.labels is None else rows.labels[: facts.count]
    return open_rows(facts, Rows(rows.values[: facts.count, places], labels), EVERYTHING)


def a_generator(name: str) -> OpenedGenerator:
    return open_generator(a_file(name))


@cache
def a_program(name: str) -> ExportedProgram:
    return trace(a_generator(name))


@cache
def an_export(name: str, form: ExportFormat) -> bytes:
    """Do what export_generator does, with one trace for both formats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WRITE[form](a_program(name), describe(a_generator(name)))


def drawn(generator: OpenedGenerator, n: int) -> tuple[Tensor, ...]:
    """Draw what a generator makes n samples of."""
    latents = generator.network.draw_latents(n, random_for(1, Stream.SAMPLES, 0))
    labels = torch.arange(n) % max(1, len(generator.facts.labels))
    return (latents, labels) if generator.conditional else (latents,)


@torch.no_grad()
def made(generator: OpenedGenerator, *inputs: Tensor) -> np.ndarray:
    """Return what the generator itself makes, in the data's own units."""
    samples: Tensor = Program(generator).eval()(*inputs)
    return samples.numpy()


def computed_by_onnx(file: bytes, *inputs: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = ("latents", "labels")
    [samples] = session.run(["samples"], {name: each.numpy() for name, each in zip(names, inputs, strict=False)})
    return np.asarray(samples)


@torch.no_grad()
def computed_by_torch(file: bytes, *inputs: Tensor) -> np.ndarray:
    samples: Tensor = torch.export.load(io.BytesIO(file)).module()(*inputs)
    return samples.numpy()


def allowed(generator: OpenedGenerator, expected: np.ndarray) -> np.ndarray:
    """Return how much numbers may differ: of rounded columns by one in the last place."""
    if not generator.facts.table:
        return np.array(TOLERANCE * abs(expected).max())
    return np.array([0 if is_choice(each) else 10.0 ** -(each.decimals or 0) for each in generator.facts.table])


@pytest.mark.parametrize("name", CASES)
def test_both_files_compute_what_the_generator_makes_of_any_number_of_rows(name: str) -> None:
    generator = a_generator(name)
    onnx, program = (an_export(name, form) for form in EXPORT_FORMATS)

    for n in (1, 7):
        inputs = drawn(generator, n)
        expected = made(generator, *inputs)
        for computed in (computed_by_onnx(onnx, *inputs), computed_by_torch(program, *inputs)):
            assert computed.dtype == expected.dtype
            assert computed.shape == expected.shape
            assert np.array_equal(np.isnan(computed), np.isnan(expected))
            excess = abs(computed - expected) - TOLERANCE * abs(expected) - allowed(generator, expected)
            assert np.nanmax(excess) <= 0


@pytest.mark.parametrize("name", [name for name in CASES if name != "timbre"])
def test_units_are_those_of_the_services_own_samples(name: str) -> None:
    generator = a_generator(name)
    latents, *labels = drawn(generator, 20)
    own = generator.exporter.encoding.backward(sample(generator.network, latents, labels[0] if labels else None))

    values = made(generator, latents, *labels)

    as_written = values.round() if generator.facts.modality == "image" else values
    assert as_written.shape == own.shape
    assert np.allclose(as_written, own, rtol=1e-6, atol=1e-6 * np.nanmax(abs(own)), equal_nan=True)


def test_the_magnitudes_of_a_timbre_are_those_of_its_sounds() -> None:
    generator = a_generator("timbre")
    inputs = drawn(generator, 3)

    magnitudes = torch.from_numpy(made(generator, *inputs))

    own = generator.exporter.encoding.backward(sample(generator.network, inputs[0], None))
    sounds = sounds_as_loud(magnitudes, generator.facts.shape[1]).clamp(-1, 1)
    assert np.allclose(sounds.numpy(), own[:, 0], atol=1e-5)


def test_both_files_explain_themselves_and_name_no_file_of_this_machine() -> None:
    generator = a_generator("rows")

    onnx, program = (an_export("rows", form) for form in EXPORT_FORMATS)

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    extra = {EXTRA_FILE: ""}
    torch.export.load(io.BytesIO(program), extra_files=extra)
    told = json.loads(session.get_modelmeta().custom_metadata_map["ganymede"])
    assert json.loads(extra[EXTRA_FILE]) == told
    assert (told["part"], told["step"], told["data"]["name"]) == ("generator", 1, "survey")
    assert [each["law"] for each in told["inputs"]["latents"]["laws"]] == ["code", "normal", "gumbel"]
    assert sum(each["columns"] for each in told["inputs"]["latents"]["laws"]) == drawn(generator, 1)[0].shape[1]
    assert told["outputs"]["samples"]["shape"] == ["n", 4]
    assert [each.shape[0] for each in (*session.get_inputs(), *session.get_outputs())] == ["n"] * 3
    for file in (onnx, program):
        assert str(ROOT).encode() not in file
        assert b"site-packages" not in file


@pytest.mark.parametrize("form", EXPORT_FORMATS)
def test_equal_generators_are_equal_files(form: ExportFormat) -> None:
    assert export_generator(a_generator("points"), form) == an_export("points", form)


def test_a_format_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(exports.PACKAGES, "onnx", ("onnx", "a_package_that_is_nowhere"))

    with pytest.raises(NotInstalled, match="a_package_that_is_nowhere"):
        export_generator(a_generator("points"), "onnx")


def test_the_code_of_the_page_draws_from_all_three_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "exports.md").read_text(), re.DOTALL)
    (tmp_path / "generator.safetensors").write_bytes(a_file("pictures"))
    for form in EXPORT_FORMATS:
        (tmp_path / f"generator.{SUFFIXES[form]}").write_bytes(an_export("pictures", form))
    monkeypatch.chdir(tmp_path)

    exec("\n".join(blocks), {})

    assert len(blocks) == 5
    assert capsys.readouterr().out == "(100, 1, 8, 8) pixels from 0, black, to 16, white; not rounded\n"
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.size == (80, 80)
