"""What there is to choose from, and the schema of a job."""

import orjson
from flask import Response, request

from service.answers.catalog import (
    ArchitectureAnswer,
    CatalogAnswer,
    DatasetAnswer,
    LoopAnswer,
    ObjectiveAnswer,
    OptimizerAnswer,
    RecordedColumn,
    RegularizerAnswer,
)
from service.answers.quality import MetricAnswer
from service.answers.writing import json_answer, tagged
from service.api import Reply, Routes
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, TAGGED
from service.spec.architectures import ARCHITECTURES
from service.spec.columns import COLUMNS
from service.spec.datasets import DATASETS
from service.spec.job import JobSpec
from service.spec.objectives import OBJECTIVES
from service.spec.optimizers import OPTIMIZERS
from service.spec.quality import METRICS
from service.spec.regularizers import REGULARIZERS

routes = Routes("catalog", "What there is to choose from.")

LOOPS = [
    LoopAnswer(
        name="original",
        description="D scores reals and fakes and is updated; new fakes are drawn for the generator's update.",
        generator_passes=2,
        discriminator_passes=3,
    ),
    LoopAnswer(
        name="reuse",
        description="As original, but the generator's update scores the same fakes again.",
        generator_passes=1,
        discriminator_passes=3,
    ),
    LoopAnswer(
        name="fused",
        description="Both gradients come from the same scores, taken before either player moves.",
        generator_passes=1,
        discriminator_passes=2,
    ),
]


@routes.add(
    "GET",
    "/catalog",
    scope=None,
    replies={200: Reply("The catalogue.", CatalogAnswer, headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_catalog() -> Response:
    """List data sets with their recipes, architectures, objectives with formulas and equilibrium, loops, columns."""
    catalog = CatalogAnswer(
        datasets=[DatasetAnswer.of(dataset) for dataset in DATASETS.values()],
        architectures=[ArchitectureAnswer.of(architecture) for architecture in ARCHITECTURES.values()],
        objectives=[ObjectiveAnswer.of(objective) for objective in OBJECTIVES.values()],
        loops=LOOPS,
        optimizers=[OptimizerAnswer(name=name, description=text) for name, text in OPTIMIZERS.items()],
        regularizers=[RegularizerAnswer.model_validate(facts, from_attributes=True) for facts in REGULARIZERS.values()],
        metrics=[MetricAnswer.of(metric) for metric in METRICS.values()],
        columns=[RecordedColumn.of(name, column) for name, column in COLUMNS.items()],
    )
    return tagged(json_answer(catalog), request)


@routes.add(
    "GET",
    "/schema/job",
    scope=None,
    replies={200: Reply("A JSON schema.", media_types=("application/schema+json",), headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_job_schema() -> Response:
    """Show the schema of a job spec: every field with its bounds, default and description."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | JobSpec.model_json_schema()
    return tagged(Response(orjson.dumps(schema), mimetype="application/schema+json"), request)
