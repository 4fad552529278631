"""A real browser on a real application, for tests of pages, and a job that there is much to see of."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from sqlalchemy import Engine

from service.blobs import BlobStore, store_file
from service.db import writing
from service.spec.columns import recorded_columns
from service.store import history, samples, transitions
from service.store.stream import add_flush
from service.store.transitions import Progress
from tests.building import a_spec, add_running_job, save_checkpoint
from tests.conversation import make_client, serving

expect.set_options(timeout=30_000)  # a busy machine
COLUMNS = recorded_columns(a_spec())
STEPS = 300
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Visit:
    """A browser page on a running application, with everything it asked for and complained about."""

    url: str
    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        """The hosts that were asked; data: and blob: URLs have none."""
        return {urlsplit(url).netloc for url in self.requests} - {""}

    def assert_quiet(self) -> None:
        """Nobody else was asked for anything, and nothing was complained about."""
        assert self.hosts == {urlsplit(self.url).netloc}
        assert self.complaints == []


@contextmanager
def visiting(app: Flask) -> Iterator[Visit]:
    """Serve an application and yield a browser before its first page."""
    with serving(app) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        visit = Visit(url, browser.new_page())
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        yield visit
        browser.close()


def a_tall_picture() -> bytes:
    """Return a file of a picture that is higher than wide."""
    file = io.BytesIO()
    Image.new("L", (364, 604)).save(file, "PNG")
    return file.getvalue()


def record(
    engine: Engine, job_id: str, attempt: int, first: int, last: int, columns: tuple[str, ...] = COLUMNS
) -> None:
    """Record steps and how far the job is, as a flush does."""
    steps = np.arange(first, last + 1)[:, None]
    rows = (np.sin(steps / 7) + np.arange(len(columns))).astype(np.float32)
    with writing(engine) as session:
        history.append_rows(session, job_id, attempt=attempt, first_step=first, columns=columns, rows=rows)
        newest = dict(zip(columns, map(float, rows[-1]), strict=True))
        progress = Progress(last, samples_seen=64 * last, trained_s=1.0, steps_per_second=300.0, last_losses=newest)
        transitions.flush(session, job_id, attempt, progress)
        job = transitions.fence(session, job_id, attempt)
        add_flush(session, job, first_step=first, last_step=last, progress=progress)


def add_picture(engine: Engine, blobs: BlobStore, job_id: str, step: int, *, attempt: int = 1) -> None:
    """Show a picture as what the generator of a running job makes at a step."""
    name = f"samples-{step}.png"
    picture = store_file(blobs, job_id=job_id, attempt=attempt, name=name, pieces=[a_tall_picture()])
    with writing(engine) as session:
        job = transitions.fence(session, job_id, attempt)
        samples.add_sample(session, job, step=step, count=64, files={"png": picture})


@pytest.fixture
def job_id(engine: Engine, blobs: BlobStore) -> str:
    """A job that runs, in its first attempt, with a history, a picture and a checkpoint."""
    job_id, attempt = add_running_job(engine, name="<b>first</b>")
    record(engine, job_id, attempt, 1, STEPS)
    add_picture(engine, blobs, job_id, 9)
    with writing(engine) as session:
        save_checkpoint(session, transitions.fence(session, job_id, attempt), 200)
    return job_id


@pytest.fixture
def visit(engine: Engine, blobs: BlobStore) -> Iterator[Visit]:
    """A browser before its first page."""
    with visiting(make_client(engine, blobs=blobs).application) as visit:
        yield visit
