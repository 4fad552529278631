"""The dashboard in a real browser: by pointer and by keys, with and without an API key."""

import re

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import Engine

from service.blobs import BlobStore
from service.db import reading, writing
from service.models import Job
from service.spec.columns import recorded_columns
from service.store import keys, transitions
from service.store.quality import add_quality
from tests.browsing import COLUMNS, Visit, record, visiting
from tests.building import a_spec, add_job, add_ready_dataset, add_running_job
from tests.conversation import make_client
from tests.generators import job_with_generator

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a browser sees no difference

A_PART = re.compile(r"steps \d+ to \d+")
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
REMEMBER_DASHES = """
  window.dashed = new Set();
  const { stroke } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.stroke = function () {
    if (this.getLineDash().length) window.dashed.add(this.strokeStyle);
    stroke.call(this);
  };
"""


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


def test_older_jobs_are_on_a_page_of_their_own(engine: Engine, visit: Visit) -> None:
    with writing(engine) as session:
        for _ in range(25):
            add_job(session)
    visit.page.goto(visit.url)
    older, newest = (visit.page.get_by_role("button", name=name) for name in ("Older", "Newest"))
    expect(visit.page.locator(".job")).to_have_count(24)
    expect(newest).to_be_hidden()

    older.click()
    expect(visit.page.locator(".job")).to_have_count(1)
    expect(older).to_be_hidden()
    newest.click()

    expect(visit.page.locator(".job")).to_have_count(24)
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
    expect(part).to_have_text(A_PART)
    visit.assert_quiet()


def test_a_tap_after_a_drag_chooses_no_part(visit: Visit, job_id: str) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    part = visit.page.locator(".controls .part")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 300")
    box = visit.page.locator(".chart canvas").first.bounding_box()
    assert box is not None
    browser = visit.page.context.new_cdp_session(visit.page)

    def touch(kind: str, *along: int) -> None:
        points = [{"x": box["x"] + at, "y": box["y"] + 50} for at in along]
        browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 100)
    for at in range(110, 210, 10):
        touch("touchMove", at)
    touch("touchEnd")
    expect(part).to_have_text(A_PART)
    visit.page.get_by_role("button", name="Show all").click()
    touch("touchStart", 300)
    touch("touchEnd")
    visit.page.wait_for_timeout(200)

    expect(part).to_have_text("all steps")
    visit.assert_quiet()


def test_a_pointer_that_went_down_beside_a_chart_chooses_no_part(visit: Visit, job_id: str) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 300")
    canvas = visit.page.locator(".chart canvas").first
    canvas.click(position={"x": 100, "y": 50})

    visit.page.locator("h1").hover()
    visit.page.mouse.down()
    canvas.hover(position={"x": 200, "y": 50})
    visit.page.mouse.up()
    visit.page.wait_for_timeout(200)

    expect(visit.page.locator(".controls .part")).to_have_text("all steps")


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


def test_no_job_is_started_while_a_field_holds_no_number(engine: Engine, visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/new")
    expect(visit.page.locator(".new .facts")).to_contain_text("parameters")
    visit.page.locator("summary", has_text="loop").click()
    steps = visit.page.get_by_label("max steps")
    steps.press_sequentially("1e")
    expect(visit.page.locator("#field-loop-max_steps-fault")).to_have_text("not a number")

    visit.page.get_by_role("button", name="Start training").click()

    expect(steps).to_be_focused()
    with reading(engine) as session:
        assert session.query(Job).count() == 0
    visit.assert_quiet()


def test_of_two_answers_to_what_was_filled_in_the_newer_one_counts(visit: Visit) -> None:
    held: list[Route] = []
    visit.page.goto(f"{visit.url}/dashboard/new")
    expect(visit.page.locator(".new .facts")).to_contain_text("parameters")
    visit.page.locator("summary", has_text="loop").click()
    size = visit.page.get_by_label("batch size")
    check = "**/jobs?dry_run=true"
    visit.page.route(check, lambda route: route.continue_() if held else held.append(route))

    with visit.page.expect_request(check):
        size.fill("1")
    with visit.page.expect_response(check):
        size.fill("32")
    with visit.page.expect_response(check):
        held[0].continue_()
    visit.page.wait_for_timeout(300)

    expect(visit.page.locator("#field-loop-batch_size-fault")).to_be_empty()
    expect(visit.page.locator(".new .facts")).to_contain_text("parameters")


def test_what_is_refused_is_told_once_and_in_view(engine: Engine, blobs: BlobStore, visit: Visit) -> None:
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


def test_each_job_beside_others_has_its_own_equilibrium(engine: Engine, visit: Visit) -> None:
    ids = []
    for loss in ("hinge", "wasserstein"):
        objective = {"loss": loss}
        job_id, attempt = add_running_job(engine, objective=objective)
        record(engine, job_id, attempt, 1, 20, recorded_columns(a_spec(objective=objective)))
        ids.append(job_id)
    visit.page.add_init_script(REMEMBER_DASHES)

    visit.page.goto(f"{visit.url}/dashboard/compare?jobs={','.join(ids)}")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 20")

    assert visit.page.evaluate("window.dashed.size") == 2
    visit.assert_quiet()


def test_the_newest_quality_beside_others_is_that_of_the_last_measured_step(
    engine: Engine, visit: Visit, job_id: str
) -> None:
    with writing(engine) as session:
        job = transitions.fence(session, job_id, 1)
        for step in range(1, 202):
            add_quality(session, job, step=step, metrics={"coverage": step / 1000}, metric="coverage", merit=None)
    other, _ = add_running_job(engine)

    visit.page.goto(f"{visit.url}/dashboard/compare?jobs={job_id},{other}")

    expect(visit.page.get_by_label("Quality", exact=True).locator("tbody td").first).to_have_text("0.201")
    visit.assert_quiet()


def test_any_two_of_many_jobs_can_be_compared(engine: Engine, visit: Visit) -> None:
    with writing(engine) as session:
        for _ in range(101):
            add_job(session)
    visit.page.goto(f"{visit.url}/dashboard/compare")
    boxes = visit.page.get_by_role("checkbox")
    expect(boxes).to_have_count(100)

    visit.page.get_by_role("button", name="Older jobs").click()
    expect(boxes).to_have_count(101)
    boxes.first.check()
    boxes.last.check()
    visit.page.get_by_role("button", name="Compare").click()

    expect(visit.page.locator("h1")).to_have_text("2 jobs side by side")
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


def test_a_key_is_asked_for_where_one_is_wanted(engine: Engine, blobs: BlobStore, job_id: str) -> None:
    with writing(engine) as session:
        _, secret = keys.create_key(session, owner_name="ann", name="mine", scope="submit")
    app = make_client(engine, blobs=blobs, auth="on").application
    with visiting(app) as visit:
        visit.page.goto(visit.url)
        visit.page.locator("#key").fill(secret)
        visit.page.keyboard.press("Enter")

        expect(visit.page.locator(".jobs")).to_contain_text("No job yet")  # ann has none, and sees nobody else's
        assert "401" in "".join(visit.complaints)


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


def test_no_sweep_is_started_while_a_field_holds_no_number(engine: Engine, visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/sweeps")
    steps = visit.page.get_by_label("Steps", exact=True)
    steps.press_sequentially("1e")

    visit.page.get_by_role("button", name="Start the sweep").click()

    expect(visit.page.get_by_role("alert")).to_contain_text("Steps: not a number")
    expect(steps).to_be_focused()
    with reading(engine) as session:
        assert session.query(Job).count() == 0
