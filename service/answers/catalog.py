"""What there is to choose from, as clients see it."""

from typing import Any

from pydantic import BaseModel, Field

from service.answers.quality import MetricAnswer
from service.spec.architectures import architecture_for
from service.spec.columns import Column
from service.spec.facts import Architecture, BuiltinDataset, Modality
from service.spec.objectives import ObjectiveFacts
from service.spec.recipes.registry import recipe_for


class RecipeAnswer(BaseModel):
    """The defaults of a data set, nested as the spec is."""

    name: str
    reason: str
    overrides: dict[str, Any]


class DatasetAnswer(BaseModel):
    """A built-in data set, with its default parameters."""

    name: str
    modality: Modality
    description: str
    shape: list[int] = Field(description="Of one sample: (D,) or (channels, height, width).")
    count: int
    sha256: str
    labels: list[str]
    columns: list[str]
    params: dict[str, Any] = Field(description="JSON schema of the parameters.")
    architecture: str = Field(description="What `auto` stands for.")
    recipe: RecipeAnswer

    @classmethod
    def of(cls, dataset: BuiltinDataset) -> "DatasetAnswer":
        """Tell a built-in data set."""
        facts = dataset.facts(dataset.params())
        architecture = architecture_for(facts)
        recipe = recipe_for(facts, architecture)
        return cls(
            name=dataset.name,
            modality=dataset.modality,
            description=dataset.description,
            shape=list(facts.shape),
            count=facts.count,
            sha256=facts.sha256,
            labels=list(facts.labels),
            columns=list(facts.columns),
            params=dataset.params.model_json_schema(),
            architecture=architecture,
            recipe=RecipeAnswer.model_validate(recipe, from_attributes=True),
        )


class ArchitectureAnswer(BaseModel):
    """A pair of networks."""

    name: str
    modalities: list[Modality]
    description: str

    @classmethod
    def of(cls, architecture: Architecture) -> "ArchitectureAnswer":
        """Tell an architecture."""
        return cls(
            name=architecture.name,
            modalities=list(architecture.modalities),
            description=architecture.description,
        )


class ObjectiveAnswer(BaseModel):
    """What the players minimise."""

    name: str
    description: str
    discriminator: str = Field(description="Formula of the discriminator's loss.")
    generator: str = Field(description="Formula of the generator's loss, where s is D's logit.")
    source: str = Field(description="The paper, and the equation there.")
    needs_reals: bool = Field(description="Whether the generator's loss reads the scores of reals.")
    smoothed: bool = Field(description="Whether label_smoothing applies.")
    equilibrium: dict[str, float] = Field(description="Of every loss column it defines, without smoothing, as means.")

    @classmethod
    def of(cls, objective: ObjectiveFacts) -> "ObjectiveAnswer":
        """Tell an objective."""
        return cls(
            name=objective.name,
            description=objective.description,
            discriminator=objective.discriminator,
            generator=objective.generator,
            source=objective.source,
            needs_reals=objective.needs_reals,
            smoothed=objective.smoothed,
            equilibrium=objective.equilibrium(1.0),
        )


class LoopAnswer(BaseModel):
    """A training loop, with its forward passes in a step of one discriminator update."""

    name: str
    description: str
    generator_passes: int
    discriminator_passes: int


class RecordedColumn(BaseModel):
    """A number that is recorded at every step."""

    name: str
    description: str

    @classmethod
    def of(cls, name: str, column: Column) -> "RecordedColumn":
        """Tell a column."""
        return cls(name=name, description=column.description)


class OptimizerAnswer(BaseModel):
    """An optimiser."""

    name: str
    description: str


class RegularizerAnswer(BaseModel):
    """What keeps a player in check; its name is the path of its key in a spec."""

    name: str
    description: str
    formula: str = Field(description="Where s is D's logit.")
    source: str


class CatalogAnswer(BaseModel):
    """Everything there is to choose from."""

    datasets: list[DatasetAnswer]
    architectures: list[ArchitectureAnswer]
    objectives: list[ObjectiveAnswer]
    loops: list[LoopAnswer]
    optimizers: list[OptimizerAnswer]
    regularizers: list[RegularizerAnswer]
    metrics: list[MetricAnswer]
    columns: list[RecordedColumn]
