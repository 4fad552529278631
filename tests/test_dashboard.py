"""The dashboard in a real browser: by pointer and by keys, with and without an API key."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from service.blobs import Directory, store_file
from service.db import reading, writing
from service.models import Job, Order
from service.spec.columns import recorded_columns
from service.store import history, keys, orders, samples, transitions
from service.store.stream import add_flush
from service.store.transitions import Progress
from tests.browsing import Visit, visiting
from tests.building import a_spec, add_job, add_ready_dataset, add_running_job, save_checkpoint
from tests.conversation import make_client
from tests.generators import ROWS, carry_out, claim_order, job_with_generator

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a browser sees no difference

expect.set_options(timeout=30_000)  # a busy machine
COLUMNS = recorded_columns(a_spec())
STEPS = 300
BEYOND_THE_CONTENT = """inputs => {
  const { right } = document.getElementById("content").getBoundingClientRect();
  return inputs.filter(input => input.getBoundingClientRect().right > right + 1).map(input => input.outerHTML);
}"""
BROKEN_WORDS = """headers => headers.flatMap(header => {
  const texts = document.createTreeWalker(header, NodeFilter.SHOW_TEXT);
  const broken = [];
  while (texts.nextNode()) for (const { index, 0: word } of texts.currentNode.data.matchAll(/[^\\s-]+/g)) {
    const range = document.createRange();
    range.setStart(texts.currentNode, index);
    range.setEnd(texts.currentNode, index + word.length);
    if (range.getClientRects().length > 1) broken.push(word);
  }
  return broken;
})"""


def a_tall_picture() -> bytes:
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


@pytest.fixture
def blobs(tmp_path: object) -> Directory:
    return Directory(tmp_path / "blobs")  # type: ignore[operator]


@pytest.fixture
def job_id(engine: Engine, blobs: Directory) -> str:
    """A job that runs, with a history, a picture and a checkpoint."""
    job_id, attempt = add_running_job(engine, name="<b>first</b>")
    record(engine, job_id, attempt, 1, STEPS)
    picture = store_file(blobs, job_id=job_id, attempt=attempt, name="samples-9.png", pieces=[a_tall_picture()])
    with writing(engine) as session:
        job = transitions.fence(session, job_id, attempt)
        samples.add_sample(session, job, step=9, count=64, files={"png": picture})
        save_checkpoint(session, job, 200)
    return job_id


@pytest.fixture
def visit(engine: Engine, blobs: Directory) -> Iterator[Visit]:
    """A browser before its first page."""
    with visiting(make_client(engine, blobs=blobs).application) as visit:
        yield visit


def press_until(page: Page, key: str, text: str, most: int = 60) -> None:
    """Press a key until what has the focus reads so."""
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate("document.activeElement.textContent").strip() == text:
            return
    raise AssertionError(f"{text!r} cannot be reached with {key}")


def test_the_newest_jobs_are_shown_with_their_pictures(engine: Engine, visit: Visit, job_id: str) -> None:
    with writing(engine) as session:
        add_job(session, name="second")

    visit.page.goto(visit.url)

    expect(visit.page.locator(".job h2")).to_have_text(["second", "<b>first</b>"])
    picture = visit.page.locator(".job .picture img")
    assert picture.count() == 1
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") == 364
    assert picture.evaluate("image => getComputedStyle(image).objectFit") == "contain"
    visit.assert_quiet()


def test_a_job_that_is_posted_while_the_page_is_open_appears(engine: Engine, visit: Visit) -> None:
    visit.page.goto(visit.url)
    expect(visit.page.locator(".jobs")).to_contain_text("No job yet")
    assert f"curl -s {visit.url}/jobs" in visit.page.locator(".jobs").inner_text()

    with writing(engine) as session:
        add_job(session, name="late")

    expect(visit.page.locator(".job h2")).to_have_text(["late"])


def test_a_job_is_followed_while_it_trains(engine: Engine, visit: Visit, job_id: str) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    expect(visit.page.locator(".head .facts")).to_contain_text(f"step {STEPS} of")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 300")

    record(engine, job_id, 1, STEPS + 1, STEPS + 50)

    expect(visit.page.locator(".head .facts")).to_contain_text("step 350 of")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 350")
    expect(visit.page.locator("img.samples")).to_be_visible()
    visit.assert_quiet()


def test_the_first_rows_of_a_table_are_shown_at_each_sampling_point(
    engine: Engine, blobs: Directory, visit: Visit
) -> None:
    job_id, attempt = add_running_job(engine)
    for step in (1, 2):
        rows = f"a,b\n{step},0\n".encode()
        table = store_file(blobs, job_id=job_id, attempt=attempt, name=f"samples-{step}.csv", pieces=[rows])
        with writing(engine) as session:
            samples.add_sample(
                session, transitions.fence(session, job_id, attempt), step=step, count=1, files={"csv": table}
            )
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    part = visit.page.get_by_label("Samples", exact=True)

    expect(part.locator("pre")).to_have_text("a,b\n2,0\n")
    part.get_by_label("Sampling point").press("Home")

    expect(part.locator("pre")).to_have_text("a,b\n1,0\n")
    visit.assert_quiet()


def test_samples_are_drawn_from_the_checkpoint_that_is_chosen(engine: Engine, blobs: Directory, visit: Visit) -> None:
    job_id = job_with_generator(engine, blobs, steps=(10, 20))
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    part = visit.page.get_by_label("Draw samples", exact=True)
    part.get_by_label("Checkpoint").select_option("step 10")
    part.get_by_role("button", name="Draw").click()

    expect(part.locator(".drawn")).to_contain_text("0 of 16")
    order_id, attempt = claim_order(engine)
    with writing(engine) as session:
        orders.beat_order(session, order_id, attempt, made=4)
    expect(part.locator(".drawn")).to_contain_text("4 of 16")
    file = store_file(blobs, job_id=order_id, attempt=attempt, name="samples.csv", pieces=[ROWS])
    with writing(engine) as session:
        orders.finish_order(session, order_id, attempt, file=file, quota_bytes=2**30)

    expect(part.locator("pre")).to_contain_text(ROWS.decode().split("\n")[0])
    with reading(engine) as session:
        assert session.get_one(Order, order_id).request["checkpoint"] == 10
    visit.assert_quiet()


def test_a_generator_is_saved_for_other_programs_once_a_worker_has_written_it(
    engine: Engine, blobs: Directory, visit: Visit
) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_with_generator(engine, blobs)}")
    with visit.page.expect_download() as saved, visit.page.expect_request("**/exports/onnx?wait=30"):
        visit.page.get_by_role("button", name="onnx").click()
        carry_out(engine, blobs)

    assert saved.value.suggested_filename == "generator-10.onnx"
    assert saved.value.path().read_bytes() == ROWS
    visit.assert_quiet()


def test_the_charts_of_a_job_are_those_of_its_objective(engine: Engine, visit: Visit, job_id: str) -> None:
    objective = {"loss": "hinge"}
    hinge, attempt = add_running_job(engine, objective=objective)
    record(engine, hinge, attempt, 1, 20, recorded_columns(a_spec(objective=objective)))

    visit.page.goto(f"{visit.url}/dashboard/job?id={hinge}")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 20")
    legend = visit.page.locator(".legend").first.inner_text().split("\n")
    visit.page.goto(f"{visit.url}/dashboard/compare?jobs={job_id},{hinge}")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 300")

    assert [name.strip() for name in legend if name.strip()] == ["d_loss", "g_loss"]
    visit.assert_quiet()


def test_a_chart_tells_its_numbers_in_words_and_as_a_table(visit: Visit, job_id: str) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    chart = visit.page.locator(".chart").first
    expect(chart.locator(".readout")).to_contain_text("step 300")
    chart.locator("canvas").focus()

    visit.page.keyboard.press("Home")
    expect(chart.locator(".readout")).to_contain_text("step 1")
    label = chart.locator("canvas").get_attribute("aria-label")
    chart.locator("summary").click()

    value = np.float32(np.sin(1 / 7) + COLUMNS.index("value"))
    assert f"value V(G,D) {value:.4g}" in (label or "")
    rows = chart.locator("tbody tr")
    assert rows.count() == 50
    assert rows.first.locator("td").first.inner_text() == f"{value:.4g}"


def test_a_part_of_a_chart_is_looked_at_closer_with_keys_and_pointer(visit: Visit, job_id: str) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    part = visit.page.locator(".controls .part")
    canvas = visit.page.locator(".chart canvas").first
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 300")

    canvas.focus()
    visit.page.keyboard.press("Home")
    visit.page.keyboard.press("+")
    expect(part).to_have_text("steps 1 to 151")
    visit.page.keyboard.press("Escape")
    expect(part).to_have_text("all steps")

    box = canvas.bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + 100, box["y"] + 50)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 200, box["y"] + 60)
    visit.page.mouse.up()
    expect(part).to_contain_text("steps ")
    visit.assert_quiet()


def test_a_job_is_started_watched_and_cancelled_with_keys_alone(engine: Engine, visit: Visit) -> None:
    visit.page.goto(visit.url)
    expect(visit.page.locator(".jobs")).to_contain_text("No job yet")
    press_until(visit.page, "Tab", "New job")
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator(".new .facts")).to_contain_text("parameters")
    press_until(visit.page, "Tab", "Start training", most=200)
    visit.page.keyboard.press("Enter")

    expect(visit.page.locator(".head .status")).to_have_text("queued")
    press_until(visit.page, "Tab", "Cancel")
    visit.page.keyboard.press("Enter")

    expect(visit.page.locator(".head .status")).to_have_text("cancelled")
    with reading(engine) as session:
        [job] = session.query(Job)
        assert (job.resolved_spec["dataset"]["name"], job.status) == ("digits", "cancelled")
    visit.assert_quiet()


def test_a_value_that_is_refused_is_told_beside_its_field(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/new")
    expect(visit.page.locator(".new .facts")).to_contain_text("parameters")

    visit.page.locator("summary", has_text="loop").click()
    visit.page.get_by_label("batch size").fill("1")

    expect(visit.page.locator("#field-loop-batch_size-fault")).not_to_be_empty()
    visit.page.get_by_label("batch size").fill("32")
    expect(visit.page.locator("#field-loop-batch_size-fault")).to_be_empty()


def test_a_refused_start_leads_to_the_faulty_field(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/new")
    expect(visit.page.locator(".new .facts")).to_contain_text("parameters")
    section = visit.page.locator("summary", has_text="loop")
    section.click()
    visit.page.get_by_label("max steps").fill("-1")
    expect(visit.page.locator("#field-loop-max_steps-fault")).not_to_be_empty()
    expect(visit.page.locator(".new .facts")).not_to_contain_text("parameters")
    section.click()

    visit.page.get_by_role("button", name="Start training").click()

    expect(visit.page.get_by_label("max steps")).to_be_focused()
    expect(visit.page.get_by_label("max steps")).to_be_in_viewport()


def test_what_is_refused_is_told_once_and_in_view(engine: Engine, blobs: Directory, visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_with_generator(engine, blobs)}")
    visit.page.set_viewport_size({"width": 390, "height": 500})
    visit.page.get_by_label("How many").fill("0")

    visit.page.get_by_role("button", name="Draw").click()

    alert = visit.page.get_by_role("alert")
    expect(alert).to_be_in_viewport(ratio=1)
    expect(alert.locator("li")).to_have_text(["n: input should be greater than or equal to 1"])
    expect(alert.locator("strong")).to_have_text("The input breaks rules")
    expect(visit.page.get_by_label("How many")).to_be_in_viewport()
    expect(visit.page.get_by_label("How many")).to_be_focused()
    expect(visit.page.get_by_label("How many")).to_have_attribute("aria-invalid", "true")
    expect(visit.page.get_by_label("Seed")).not_to_have_attribute("aria-invalid", "true")


def test_of_an_unknown_job_nothing_is_awaited(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id=job_nobody")

    expect(visit.page.get_by_role("alert")).to_contain_text("There is no job job_nobody")
    expect(visit.page.locator("#content")).to_be_empty()


def test_empty_fields_tell_shortly_what_the_service_chooses(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/new")
    expect(visit.page.locator(".new .facts")).to_contain_text("parameters")

    fields = visit.page.locator("#field-dataset, #field-objective-r1, #field-objective-top_k")
    hints = fields.evaluate_all("fields => fields.map(field => field.placeholder)")

    assert hints == ["digits", "5, cosine", "1"]


def test_jobs_are_laid_side_by_side(engine: Engine, visit: Visit, job_id: str) -> None:
    other, attempt = add_running_job(engine, objective={"loss": "saturating"})
    record(engine, other, attempt, 1, 100)

    visit.page.goto(f"{visit.url}/dashboard/compare?jobs={job_id},{other}")

    expect(visit.page.locator("tr", has_text="objective.loss")).to_contain_text("saturating")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 300")
    visit.assert_quiet()


@pytest.mark.parametrize(
    "path", ["/", "/dashboard/new", "/dashboard/data", "/dashboard/compare", "/dashboard/sweeps", "job", "nameless"]
)
def test_every_page_fits_a_phone(engine: Engine, visit: Visit, job_id: str, path: str) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 800})
    if path == "job":
        path = f"/dashboard/job?id={job_id}"
    elif path == "nameless":
        ids = [add_running_job(engine, dataset=dataset)[0] for dataset in ("moons", "spiral")]
        path = f"/dashboard/compare?jobs={','.join(ids)}"

    visit.page.goto(visit.url + path)
    expect(visit.page.locator("h1")).to_be_visible()
    visit.page.wait_for_load_state("load")

    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.page.locator("input").evaluate_all(BEYOND_THE_CONTENT) == []
    assert visit.page.locator("th").evaluate_all(BROKEN_WORDS) == []


def test_a_key_is_asked_for_where_one_is_wanted(engine: Engine, blobs: Directory, job_id: str) -> None:
    with writing(engine) as session:
        _, secret = keys.create_key(session, owner_name="ann", name="mine", scope="submit")
    app = make_client(engine, blobs=blobs, auth="on").application
    with visiting(app) as visit:
        visit.page.goto(visit.url)
        visit.page.locator("#key").fill(secret)
        visit.page.keyboard.press("Enter")

        expect(visit.page.locator(".jobs")).to_contain_text("No job yet")  # ann has none, and sees nobody else's
        assert "401" in "".join(visit.complaints)


def test_a_data_set_is_uploaded(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/data")
    rows = "a,b\n" + "\n".join(f"{step},{step * 2}" for step in range(40))

    visit.page.get_by_label("File").set_input_files(
        {"name": "rows.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    )
    visit.page.get_by_role("button", name="Upload").click()

    expect(visit.page.locator(".job", has_text="rows.csv")).to_contain_text("preparing")
    visit.assert_quiet()


def test_a_job_on_an_upload_tells_its_name(engine: Engine, visit: Visit) -> None:
    with writing(engine) as session:
        dataset_id = add_ready_dataset(session).id
        job_id = add_job(session, dataset=dataset_id).id

    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")

    expect(visit.page.get_by_title(dataset_id)).to_have_text("mine")
    visit.page.goto(f"{visit.url}/")
    expect(visit.page.get_by_title(dataset_id)).to_have_text("mine")
    visit.assert_quiet()


def test_a_sweep_is_started_and_ranked(engine: Engine, visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/sweeps")
    visit.page.get_by_role("button", name="paired experiment").click()
    visit.page.get_by_role("button", name="Start the sweep").click()

    expect(visit.page.locator("tbody tr")).to_have_count(4)
    heads = ["rank", "coverage", "", "status", "objective.loss", "loop.variant", "at step", "step"]
    expect(visit.page.locator("thead th")).to_have_text(heads)
    expect(visit.page.locator(".head")).to_contain_text("grid of 4 jobs: 4 queued")
    visit.page.get_by_role("button", name="Cancel all").click()
    expect(visit.page.locator(".head")).to_contain_text("4 cancelled")
    with reading(engine) as session:
        found = [job.resolved_spec for job in session.query(Job)]
    pairs = {(spec["objective"]["loss"], spec["loop"]["variant"], spec["seed"]) for spec in found}
    assert pairs == {(loss, loop, 1) for loss in ("saturating", "non_saturating") for loop in ("original", "fused")}
    visit.assert_quiet()
