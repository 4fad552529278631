"""The built-in data sets by name: their parameters and their facts. The data itself is opened in worker.gan.data."""

import hashlib
import json
from dataclasses import replace

from pydantic import Field, model_validator

from service.spec.facts import DAY_FORMAT, BuiltinDataset, DatasetFacts, TableColumn
from service.spec.parts.strict import Strict
from service.spec.tables import table_shape

GENERATOR_VERSION = 1  # raise it whenever a generated set would come out otherwise from the same parameters


class RingParams(Strict):
    """Gaussians on a circle."""

    modes: int = Field(8, ge=2, le=100, description="Gaussians on the circle.")
    radius: float = Field(1.0, gt=0, le=1_000, description="Radius of the circle.")
    sigma: float = Field(0.01, gt=0, le=100, description="Standard deviation of each Gaussian.")
    count: int = Field(20_000, ge=100, le=1_000_000, description="Samples.")


class GridParams(Strict):
    """Gaussians on a square grid."""

    side: int = Field(5, ge=2, le=20, description="Gaussians along each side.")
    spacing: float = Field(2.0, gt=0, le=1_000, description="Distance between neighbouring centres.")
    sigma: float = Field(0.05, gt=0, le=100, description="Standard deviation of each Gaussian.")
    count: int = Field(20_000, ge=100, le=1_000_000, description="Samples.")


class MoonsParams(Strict):
    """Two interleaving half circles."""

    noise: float = Field(0.05, ge=0, le=1, description="Standard deviation about the curve.")
    count: int = Field(20_000, ge=100, le=1_000_000, description="Samples.")


class SwissRollParams(Strict):
    """A spiral in the plane."""

    turns: float = Field(1.5, gt=0, le=5, description="Turns of the spiral.")
    noise: float = Field(0.02, ge=0, le=1, description="Standard deviation about the curve; its outer radius is 1.")
    count: int = Field(20_000, ge=100, le=1_000_000, description="Samples.")


class SubspaceParams(Strict):
    """Gaussians in many dimensions, the centres in some of them, as in Srivastava et al. 2017 (VEEGAN), section 4.1."""

    modes: int = Field(10, ge=2, le=100, description="Gaussians.")
    dimensions: int = Field(1_200, ge=3, le=10_000, description="Dimensions of a sample.")
    subspace: int = Field(700, ge=1, le=10_000, description="The first of them, in which centres lie from -1 to 1.")
    sigma: float = Field(0.1, gt=0, le=100, description="Standard deviation of each Gaussian in every dimension.")
    count: int = Field(20_000, ge=100, le=100_000, description="Samples.")

    @model_validator(mode="after")
    def _subspace_is_part_of_the_whole(self) -> "SubspaceParams":
        if self.subspace > self.dimensions:
            raise ValueError(f"the subspace has more dimensions than the {self.dimensions} of a sample")
        return self


class SpiralParams(Strict):
    """Arms that wind about the origin."""

    arms: int = Field(2, ge=1, le=10, description="Arms, turned evenly about the origin.")
    turns: float = Field(1.0, gt=0, le=5, description="Turns of each arm.")
    noise: float = Field(0.02, ge=0, le=1, description="Standard deviation about the curve; its outer radius is 1.")
    count: int = Field(20_000, ge=100, le=1_000_000, description="Samples.")


class StackedDigitsParams(Strict):
    """Three digits as the colours of one picture."""

    count: int = Field(30_000, ge=1_000, le=200_000, description="Samples.")


class TonesParams(Strict):
    """Pure tones."""

    count: int = Field(2_400, ge=120, le=20_000, description="Samples.")


class NoParams(Strict):
    """A set that is as it is."""


def generated(known: DatasetFacts, params: type[Strict]) -> BuiltinDataset:
    """Describe a set that is drawn from a law; its hash is that of the recipe it is drawn by.

    A hash in what is known is that of the data it is drawn from.
    """

    def facts(given: Strict) -> DatasetFacts:
        values = given.model_dump()
        recipe = {"name": known.name, "version": GENERATOR_VERSION, "params": values}
        if known.sha256:
            recipe["drawn_from"] = known.sha256
        return replace(
            known,
            shape=(values["dimensions"],) if "dimensions" in values else known.shape,
            count=values["count"],
            sha256=hashlib.sha256(canonical_json(recipe)).hexdigest(),
        )

    return BuiltinDataset(known.name, known.modality, known.description, params, facts)


def in_the_plane(name: str, description: str) -> DatasetFacts:
    """Return what is known of points before their parameters are."""
    return DatasetFacts(name, "vector", (2,), 0, "", columns=("x", "y"), description=description)


def recorded(facts: DatasetFacts) -> BuiltinDataset:
    """Describe a set without parameters. What ships with scikit-learn has the hash of its float64 rows and classes."""
    return BuiltinDataset(facts.name, facts.modality, facts.description, NoParams, lambda _: facts)


def canonical_json(value: object) -> bytes:
    """Write equal values as equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


SUBSPACE = DatasetFacts(
    name="subspace",
    modality="vector",
    shape=(),
    count=0,
    sha256="",
    description="Gaussians in many dimensions, their centres in some of them.",
)

IRIS = DatasetFacts(
    name="iris",
    modality="table",
    shape=(4,),
    count=150,
    sha256="aa06b8008ceba42efc654be0f83fdafc786239c9e8f13146044d078f5aab8f23",
    labels=("setosa", "versicolor", "virginica"),
    columns=("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    description="Four measures of 150 flowers of three species (Fisher 1936).",
)

WINE = DatasetFacts(
    name="wine",
    modality="table",
    shape=(13,),
    count=178,
    sha256="3a28849ef2366c4b9d4e382b3fa5624a66f693c04d7fdcf43c529bbb0bb338d7",
    labels=("class_0", "class_1", "class_2"),
    columns=(
        "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
        "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline",
    ),
    description="Thirteen chemical measures of 178 Italian wines from three growers.",
)  # fmt: skip

CELL_MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness",
    "compactness", "concavity", "concave points", "symmetry", "fractal dimension",
)  # fmt: skip

BREAST_CANCER = DatasetFacts(
    name="breast_cancer",
    modality="table",
    shape=(30,),
    count=569,
    sha256="25e2eb7b7a8745b1bde5ba18bc4969983d2e2f403291ecd5bde4a29ef30c3859",
    labels=("malignant", "benign"),
    columns=(
        *(f"mean {measure}" for measure in CELL_MEASURES),
        *(f"{measure} error" for measure in CELL_MEASURES),
        *(f"worst {measure}" for measure in CELL_MEASURES),
    ),
    description="Thirty measures of cell nuclei from 569 breast tumours, with the diagnosis.",
)

DIGITS = DatasetFacts(
    name="digits",
    modality="image",
    shape=(1, 8, 8),
    count=1_797,
    sha256="f6d9e39f37dc45d327f6db33428ee58970ccceabb2535a5c179de35886b70443",
    labels=tuple("0123456789"),
    description="1,797 handwritten digits, 8 by 8 pixels of 17 greys.",
    white=16,
)

STACKED_DIGITS = DatasetFacts(
    name="stacked_digits",
    modality="image",
    shape=(3, 8, 8),
    count=0,
    sha256=DIGITS.sha256,
    description="Three of the digits as red, green and blue of one picture: 1,000 modes, without labels.",
    white=16,
)

TONES = DatasetFacts(
    name="tones",
    modality="audio",
    shape=(1, 4_000),
    count=0,
    sha256="",
    labels=("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"),
    description="The twelve semitones from middle C as pure tones of any phase and level, a quarter of a second each.",
    sample_rate=16_000,
    components=17.7,
    kept_power=1.0,
)

SURVEY_COLUMNS = (
    TableColumn("age", "integer", decimals=0, minimum=18, maximum=90),
    TableColumn(
        "region",
        "category",
        ("north", "harbour", "old town", "hills", "east", "lakes", "border", "islands"),
        maximum=7,
    ),
    TableColumn("schooling", "category", ("none", "basic", "trade", "college", "university"), maximum=4),
    TableColumn("contract", "category", ("permanent", "fixed term", "self-employed"), missing=True, maximum=2),
    TableColumn("hours", "integer", decimals=0, maximum=80),
    TableColumn("income", "continuous", decimals=2, maximum=250_000),
    TableColumn("savings", "integer", decimals=0, maximum=2_000_000),
    TableColumn("commute_km", "continuous", decimals=1, missing=True, maximum=150),
    TableColumn("mood", "continuous", decimals=1, maximum=10),
    TableColumn("joined", "date", missing=True, minimum=-3_653, maximum=19_905, date_format=DAY_FORMAT),
    TableColumn("owns_home", "boolean", ("no", "yes"), maximum=1),
)

SURVEY = DatasetFacts(
    name="survey",
    modality="table",
    shape=table_shape(SURVEY_COLUMNS),
    count=20_000,
    sha256=hashlib.sha256(canonical_json({"name": "survey", "version": GENERATOR_VERSION})).hexdigest(),
    labels=("no", "yes"),
    columns=tuple(column.name for column in SURVEY_COLUMNS),
    description="A made-up survey of 20,000 people: numbers of several shapes, words, dates and gaps.",
    table=SURVEY_COLUMNS,
    label_column="owns_home",
    label_counts=(11_186, 8_814),
)

DATASETS: dict[str, BuiltinDataset] = {
    dataset.name: dataset
    for dataset in (
        generated(in_the_plane("ring", "Gaussians on a circle."), RingParams),
        generated(in_the_plane("grid", "Gaussians on a square grid."), GridParams),
        generated(in_the_plane("moons", "Two interleaving half circles."), MoonsParams),
        generated(in_the_plane("swiss_roll", "A spiral in the plane."), SwissRollParams),
        generated(in_the_plane("spiral", "Arms that wind about the origin."), SpiralParams),
        generated(SUBSPACE, SubspaceParams),
        generated(STACKED_DIGITS, StackedDigitsParams),
        recorded(DIGITS),
        recorded(IRIS),
        recorded(WINE),
        recorded(BREAST_CANCER),
        recorded(SURVEY),
        generated(TONES, TonesParams),
    )
}
