"""A client that openapi-python-client makes of the OpenAPI document, at work with the application."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sqlalchemy import Engine

from service.db import writing
from service.store import history
from tests.building import claim_next
from tests.conversation import document_of, make_client, serving
from tests.reference import ROOT

CONFIGURATION = ROOT / "docs" / "examples" / "openapi-python-client.yaml"


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def generated(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package that the generator makes, which must have nothing to warn of."""
    document, package = tmp_path / "openapi.json", tmp_path / "generated"
    document.write_text(json.dumps(document_of(make_client(engine).application)))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    command += ["--path", str(document), "--output-path", str(package), "--config", str(CONFIGURATION)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("generated")


def test_a_generated_client_creates_a_job_finds_it_and_reads_its_losses(engine: Engine, generated: ModuleType) -> None:
    models = importlib.import_module("generated.models")
    create_job, list_jobs, show_losses = (
        importlib.import_module(f"generated.api.{name}")
        for name in ("jobs.create_job", "jobs.list_jobs", "losses.show_losses")
    )
    with serving(make_client(engine).application) as url, generated.Client(base_url=url) as client:
        spec = models.JobSpec(dataset="ring", loop=models.LoopSpec(max_steps=2), name="generated")

        created = create_job.sync(client=client, body=spec)
        with writing(engine) as session:
            job = claim_next(session)
            rows = np.array([[1.5], [np.nan]], np.float32)
            history.append_rows(session, job.id, attempt=1, first_step=1, columns=("d_loss",), rows=rows)
        page = list_jobs.sync(client=client, q="generated")
        read = show_losses.sync(created.id, client=client, columns="d_loss")
        refused = create_job.sync(client=client, body=models.JobSpec(dataset="rings"))

    assert [listed.id for listed in page.data] == [created.id]
    assert page.data[0].resolved_spec.loop.max_steps == 2
    assert read.columns.to_dict() == {"step": [1, 2], "d_loss": [1.5, None]}
    assert read.nonfinite.to_dict() == {"d_loss": {"2": "NaN"}}
    assert (refused.status, refused.errors[0].pointer) == (422, "/dataset")
