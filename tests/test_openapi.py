"""The OpenAPI document is valid, whole and true."""

import re
from collections.abc import Iterator
from typing import get_type_hints, is_typeddict

import pytest
from openapi_spec_validator import validate
from sqlalchemy import create_engine

from ganymede import answers, jobs, samples
from service.answers.problem import CODES
from service.spec.job import JobSpec
from tests.conversation import CheckedClient, document_of, make_client

NOT_DESCRIBED = {answers.Message}  # a line of a stream


def client_types() -> Iterator[type]:
    """Yield the types by which the Python client tells what it sends and gets."""
    yield from (jobs.JobSpec, samples.SampleSpec)
    yield from (told for told in vars(answers).values() if is_typeddict(told) and told not in NOT_DESCRIBED)


METHODS = {"GET", "POST", "PATCH", "DELETE"}


@pytest.fixture
def client() -> CheckedClient:
    return make_client(create_engine("sqlite://"))


def test_the_document_is_valid_openapi_of_the_promised_version(client: CheckedClient) -> None:
    document = client.get("/openapi.json").get_json()

    validate(document)
    assert document["openapi"] == "3.1.1"


def test_the_document_has_every_route_and_no_other(client: CheckedClient) -> None:
    routes = {
        (method.lower(), rule.rule.replace("<", "{").replace(">", "}"))
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) & METHODS
    }

    paths = document_of(client.application)["paths"]

    assert {(method, path) for path, operations in paths.items() for method in operations} == routes


def test_every_operation_says_what_it_does_reads_and_answers(client: CheckedClient) -> None:
    for path, operations in document_of(client.application)["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert "`" not in operation["summary"], where  # it is plain text, unlike a description
            assert re.fullmatch(r"[a-z_]+", operation["operationId"]), where
            assert {"400", "403", "500"} <= set(operation["responses"]), where
            assert [status for status in operation["responses"] if status.startswith("2")], where
            named = set(re.findall(r"{(\w+)}", path))
            in_path = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert in_path == named, where
            assert all(parameter["description"] for parameter in operation["parameters"]), where


def test_operation_ids_are_unique(client: CheckedClient) -> None:
    paths = document_of(client.application)["paths"]
    ids = [operation["operationId"] for operations in paths.values() for operation in operations.values()]

    assert len(ids) == len(set(ids))


def test_the_schema_of_a_job_has_every_bound_default_and_description(client: CheckedClient) -> None:
    schemas = document_of(client.application)["components"]["schemas"]

    assert schemas["LoopSpec"]["properties"]["batch_size"] == {
        "default": 64,
        "description": "Real samples in a batch; as many generated ones.",
        "maximum": 65536,
        "minimum": 2,
        "title": "Batch Size",
        "type": "integer",
    }
    assert schemas["JobSpec"]["additionalProperties"] is False
    assert "pattern" in str(schemas["JobSpec"]["properties"]["labels"])
    assert schemas["JobAnswer"]["properties"]["resolved_spec"]["$ref"] == "#/components/schemas/JobSpec"
    assert client.get("/schema/job").get_json()["properties"].keys() == JobSpec.model_fields.keys()


def test_the_types_of_the_client_have_the_fields_of_the_document(client: CheckedClient) -> None:
    schemas = document_of(client.application)["components"]["schemas"]
    described = {told: {*schemas[told.__name__]["properties"]} for told in client_types()}

    assert {told: {*get_type_hints(told)} for told in described} == described


def test_the_formats_of_the_client_are_those_of_the_document(client: CheckedClient) -> None:
    wish = document_of(client.application)["components"]["schemas"]["SampleSpec"]["properties"]["format"]

    assert {*wish["anyOf"][0]["enum"]} == samples.FORMATS


def test_every_problem_code_is_documented(client: CheckedClient) -> None:
    problem = document_of(client.application)["components"]["schemas"]["Problem"]

    assert problem["properties"]["code"]["enum"] == sorted(CODES)


@pytest.mark.parametrize(("auth", "expected"), [("on", [{"key": ["submit"]}]), ("off", None)])
def test_the_document_asks_for_keys_where_the_service_does(auth: str, expected: object) -> None:
    app = make_client(create_engine("sqlite://"), auth=auth).application

    assert document_of(app)["paths"]["/jobs"]["post"].get("security") == expected
    assert "security" not in document_of(app)["paths"]["/healthz"]["get"]
