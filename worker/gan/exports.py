"""A generator as a file for other programs: as ONNX, or for torch.export. What is heavy is imported when it is needed.

Both hold one program: latents, and labels where the generator is told any, to samples in the data's own units.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from service.spec.exports import LAYOUT, ExportFormat
from service.spec.facts import DatasetFacts
from service.spec.headers import METADATA_KEY
from service.spec.sizes.timbre import HOP, WINDOW
from worker.gan.data.decoders import Magnitudes
from worker.gan.generation import OpenedGenerator

if TYPE_CHECKING:
    from torch.export import ExportedProgram

TRACED = 2  # rows of the example; of 1 torch would make a program for 1 alone
OPSET = 18  # the one that torch translates into; any other takes one more translation
PACKAGES: dict[ExportFormat, tuple[str, ...]] = {"onnx": ("onnx", "onnxscript"), "torch_export": ()}
EXTRA_FILE = f"{METADATA_KEY}.json"  # in a file of torch.export


class NotInstalled(Exception):
    """A format needs packages that are not there."""


class Program(nn.Module):
    """A generator and, behind it, the way to the data's own units."""

    def __init__(self, generator: OpenedGenerator) -> None:
        super().__init__()
        self.network = generator.network.portable()
        self.decoder = generator.exporter.encoding.decoder()

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make one sample of each row of latents (n, L) and of labels (n,)."""
        samples: Tensor = self.decoder(self.network(latents, labels))
        return samples


def export_generator(generator: OpenedGenerator, form: ExportFormat) -> bytes:
    """Return the file of a generator in a format; raises NotInstalled. Equal generators give equal bytes."""
    require(form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own parts
        return WRITE[form](trace(generator), describe(generator))


def require(form: ExportFormat) -> None:
    """Raise NotInstalled where a format needs what is not there."""
    if missing := [name for name in PACKAGES[form] if find_spec(name) is None]:
        raise NotInstalled(f"The worker lacks {' and '.join(missing)}, which {form} needs.")


def write_onnx(program: "ExportedProgram", about: str) -> bytes:
    """Write an ONNX model."""
    import torch.onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # that torchvision is not there is no news
    exported: Any = torch.onnx.export(
        program,
        dynamo=True,
        dynamic_shapes=rows_of(program.example_inputs[0]),
        output_names=["samples"],
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )
    ClearMetadataAndDocStringPass()(exported.model)  # where in our sources each node comes from
    exported.model.metadata_props[METADATA_KEY] = about
    file: bytes = exported.model_proto.SerializeToString(deterministic=True)
    return file


def write_program(program: "ExportedProgram", about: str) -> bytes:
    """Write a program of torch.export."""
    import torch.export

    file = io.BytesIO()
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    torch.export.save(program, file, extra_files={EXTRA_FILE: about})
    return file.getvalue()


WRITE: dict[ExportFormat, Callable[["ExportedProgram", str], bytes]] = {
    "onnx": write_onnx,
    "torch_export": write_program,
}


@torch.no_grad()
def trace(generator: OpenedGenerator) -> "ExportedProgram":
    """Return the program of a generator for any number of rows."""
    import torch.export

    arguments = example(generator)
    return torch.export.export(Program(generator).eval(), arguments, dynamic_shapes=rows_of(arguments))


def rows_of(arguments: tuple[Tensor, ...]) -> tuple[dict[int, Any], ...]:
    """Return which dimensions of some arguments may have any length: the rows."""
    import torch.export

    return ({0: torch.export.Dim("n")},) * len(arguments)


def example(generator: OpenedGenerator) -> tuple[Tensor, ...]:
    """Return latents, and labels where the generator is told any, of which only the shapes matter."""
    dtype = next(generator.network.parameters()).dtype
    latents = torch.zeros(TRACED, sum(each["columns"] for each in generator.network.describe_latents()), dtype=dtype)
    return (latents, torch.zeros(TRACED, dtype=torch.long)) if generator.conditional else (latents,)


def describe(generator: OpenedGenerator) -> str:
    """Return what a file says of itself, as JSON: all that the generator's own file does, and what goes in and out."""
    arguments, program = example(generator), Program(generator).eval()
    with torch.no_grad():
        samples = program(*arguments)
    inputs = {"latents": {**_form(arguments[0]), "laws": generator.network.describe_latents()}}
    if generator.conditional:
        inputs["labels"] = {**_form(arguments[1]), "law": "places in data.labels: evenly, or by data.label_counts"}
    outputs = {"samples": {**_form(samples), "units": units_of(generator.facts, program.decoder)}}
    told = {**generator.metadata, "layout": LAYOUT, "inputs": inputs, "outputs": outputs}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)


def units_of(facts: DatasetFacts, decoder: nn.Module) -> str:
    """Say in a sentence what the numbers of samples are."""
    if isinstance(decoder, Magnitudes):
        return (
            f"magnitudes of bins by frames of sounds, {facts.sample_rate} frames a second, in a short-time Fourier "
            f"transform with a Hann window of {WINDOW} every {HOP}, centred; phases are to be made"
        )
    return {
        "image": f"pixels from 0, black, to {facts.white}, white; not rounded",
        "audio": f"sound pressure from -1 to 1, {facts.sample_rate} frames a second",
        "vector": "coordinates of the data",
        "table": "columns of the data in order: numbers, places in the categories of a column, days or seconds since "
        "1970-01-01; NaN is a missing cell",
    }[facts.modality]


def _form(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": ["n", *tensor.shape[1:]]}
