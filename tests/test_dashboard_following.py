"""Pages of the dashboard that follow what happens: none misses anything, disturbs anybody, or hides an outage."""

import time

import pytest
from playwright.sync_api import Request, expect
from sqlalchemy import Engine

from service.blobs import BlobStore, store_file
from service.db import reading, writing
from service.models import Order
from service.spec.datasets import DIGITS
from service.store import orders, preparation, samples, transitions
from service.store.stream import heads
from tests.browsing import STEPS, Visit, a_tall_picture, add_picture, record, visiting
from tests.building import (
    QUOTA_BYTES,
    a_file,
    add_job,
    add_running_job,
    add_uploaded_dataset,
    claim_dataset,
    claim_next,
    save_checkpoint,
)
from tests.conversation import make_client
from tests.generators import ROWS, carry_out, claim_order, job_with_generator

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a browser sees no difference

AWAY = "The service does not answer. Trying again..."
COUNT_WHAT_IS_TOLD = """notice => {
  window.told = 0;
  new MutationObserver(() => { window.told += 1; }).observe(notice, { childList: true });
}"""
HIDE = """isHidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def is_stream(request: Request) -> bool:
    return "/stream" in request.url


def follow_a_job(engine: Engine, visit: Visit, job_id: str) -> int:
    """Open the page of a job until something has come over its stream; return the number of the last message."""
    visit.page.clock.install()
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 300")
    record(engine, job_id, 1, 301, 310)
    expect(visit.page.locator(".head .facts")).to_contain_text("step 310 of")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 310")
    with reading(engine) as session:
        return heads(session, [job_id])[job_id].seq


def fail_a_preparation(engine: Engine) -> None:
    with writing(engine) as session:
        dataset = claim_dataset(session)
        preparation.fail_preparation(session, dataset.id, dataset.attempt, code="bad_dataset", message="Nothing in it.")


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
    engine: Engine, blobs: BlobStore, visit: Visit
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


def test_samples_are_drawn_from_the_checkpoint_that_is_chosen(engine: Engine, blobs: BlobStore, visit: Visit) -> None:
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
    engine: Engine, blobs: BlobStore, visit: Visit
) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_with_generator(engine, blobs)}")
    with visit.page.expect_download() as saved, visit.page.expect_request("**/exports/onnx?wait=30"):
        visit.page.get_by_role("button", name="onnx").click()
        carry_out(engine, blobs)

    assert saved.value.suggested_filename == "generator-10.onnx"
    assert saved.value.path().read_bytes() == ROWS
    visit.assert_quiet()


def test_a_page_that_nobody_sees_has_no_connection_and_goes_on_where_it_was(
    engine: Engine, visit: Visit, job_id: str
) -> None:
    last = follow_a_job(engine, visit, job_id)

    with visit.page.expect_event("requestfailed", is_stream):  # it is given up
        visit.page.evaluate(HIDE, True)
        visit.page.clock.fast_forward(11_000)
    record(engine, job_id, 1, 311, 350)
    with visit.page.expect_request(lambda request: request.url.endswith(f"/stream?after={last}")):
        visit.page.evaluate(HIDE, False)

    expect(visit.page.locator(".head .facts")).to_contain_text("step 350 of")
    expect(visit.page.locator(".chart .readout").first).to_contain_text("step 350")
    visit.assert_quiet()


def test_a_page_that_is_hidden_for_a_moment_keeps_its_connection(engine: Engine, visit: Visit, job_id: str) -> None:
    follow_a_job(engine, visit, job_id)

    visit.page.evaluate(HIDE, True)
    visit.page.clock.fast_forward(5_000)
    visit.page.evaluate(HIDE, False)
    visit.page.clock.fast_forward(11_000)
    record(engine, job_id, 1, 311, 350)

    expect(visit.page.locator(".head .facts")).to_contain_text("step 350 of")
    assert sum("/stream" in url for url in visit.requests) == 1


def test_a_stream_that_falls_silent_is_asked_for_again(engine: Engine, visit: Visit, job_id: str) -> None:
    last = follow_a_job(engine, visit, job_id)

    with visit.page.expect_request(lambda request: request.url.endswith(f"/stream?after={last}")):
        visit.page.clock.fast_forward(46_000)
    record(engine, job_id, 1, 311, 350)

    expect(visit.page.locator(".head .facts")).to_contain_text("step 350 of")
    expect(visit.page.locator("#away")).to_be_empty()
    visit.assert_quiet()


@pytest.mark.parametrize("path", ["/", "/dashboard/data", "sweep"])
def test_a_page_says_once_that_the_service_is_away_and_goes_on_when_it_is_back(
    engine: Engine, visit: Visit, job_id: str, path: str
) -> None:
    if path == "sweep":
        posted = {"spec": {"dataset": "ring"}, "grid": {"objective.r1": [0, 1]}}
        path = f"/dashboard/sweeps?id={make_client(engine).post('/sweeps', json=posted).get_json()['id']}"
    visit.page.goto(visit.url + path)
    expect(visit.page.locator(".status").first).to_be_visible()
    away = visit.page.locator("#away")
    away.evaluate(COUNT_WHAT_IS_TOLD)

    visit.page.context.set_offline(True)
    expect(away).to_have_text(AWAY)
    expect(away).to_be_in_viewport(ratio=1)
    visit.page.wait_for_timeout(2_500)  # it has been tried again

    assert visit.page.evaluate("window.told") == 1
    expect(visit.page.get_by_role("alert")).to_have_count(0)
    visit.page.context.set_offline(False)
    expect(away).to_be_empty()


def test_the_page_of_a_job_says_that_the_service_is_away_and_misses_nothing(
    engine: Engine, visit: Visit, job_id: str
) -> None:
    visit.page.route("**/stream*", lambda route: route.abort())
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    expect(visit.page.locator("#away")).to_have_text(AWAY)
    record(engine, job_id, 1, 301, 350)

    visit.page.unroute("**/stream*")

    expect(visit.page.locator("#away")).to_be_empty()
    expect(visit.page.locator(".head .facts")).to_contain_text("step 350 of")
    expect(visit.page.get_by_role("alert")).to_have_count(0)


def test_who_reads_a_leaderboard_is_not_disturbed(engine: Engine, visit: Visit) -> None:
    schedule = {"name": "cosine", "initial": 1}
    posted = {"spec": {"dataset": "ring"}, "grid": {"objective.r1": [0.5, schedule]}}
    sweep = make_client(engine).post("/sweeps", json=posted).get_json()
    with writing(engine) as session:
        job = claim_next(session)
        job_id, attempt = job.id, job.attempt
    visit.page.goto(f"{visit.url}/dashboard/sweeps?id={sweep['id']}")
    running, queued = (visit.page.locator("tbody tr", has_text=status) for status in ("running", "queued"))
    queued.evaluate("row => getSelection().selectAllChildren(row)")
    running.get_by_role("link").focus()

    record(engine, job_id, attempt, 1, 50)

    expect(running).to_contain_text("50")
    expect(running.get_by_role("link")).to_be_focused()
    assert "queued" in visit.page.evaluate("getSelection().toString()")
    expect(visit.page.locator("tbody")).to_contain_text('"name":"cosine"')
    visit.assert_quiet()


def test_a_button_is_at_work_until_its_file_is_there_whatever_its_table_shows_meanwhile(
    engine: Engine, blobs: BlobStore, visit: Visit
) -> None:
    job_id = job_with_generator(engine, blobs)
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    rows = visit.page.get_by_label("Checkpoints", exact=True).locator("tbody tr")
    onnx, fork = rows.last.get_by_role("button", name="onnx"), rows.last.get_by_role("link", name="fork")
    with visit.page.expect_request("**/exports/onnx?wait=30"):
        onnx.click()
    fork.focus()

    with writing(engine) as session:
        save_checkpoint(session, transitions.fence(session, job_id, 1), 20)
    expect(rows).to_have_count(2)

    expect(rows.last).not_to_contain_text("latest")
    expect(onnx).to_be_disabled()
    expect(fork).to_be_focused()
    with visit.page.expect_download():
        carry_out(engine, blobs)
    expect(onnx).to_be_enabled()


def test_the_focus_stays_on_a_file_of_samples_when_there_are_newer_ones(
    engine: Engine, blobs: BlobStore, visit: Visit, job_id: str
) -> None:
    visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
    part = visit.page.get_by_label("Samples", exact=True)
    save = part.get_by_role("button", name="png", exact=True)
    save.focus()

    add_picture(engine, blobs, job_id, 12)
    expect(part).to_contain_text("Step 12")

    expect(save).to_be_focused()
    with visit.page.expect_download() as saved:
        save.press("Enter")
    assert saved.value.url.endswith("/samples/12?format=png")


def test_a_file_that_nobody_can_wait_for_is_asked_for_again_after_a_while(engine: Engine, blobs: BlobStore) -> None:
    app = make_client(engine, blobs=blobs).application
    app.extensions["web"].long_polls.stop()  # as where too many wait: the answer comes at once
    job_id = job_with_generator(engine, blobs)
    with visiting(app) as visit:
        visit.page.goto(f"{visit.url}/dashboard/job?id={job_id}")
        with visit.page.expect_response("**/exports/onnx?wait=30"):
            visit.page.get_by_role("button", name="onnx").click()
        asked_at = time.monotonic()
        with visit.page.expect_request("**/exports/onnx?wait=30"):
            pass

        assert time.monotonic() - asked_at > 1  # Retry-After is 2 s
        with visit.page.expect_download():
            carry_out(engine, blobs)
        visit.assert_quiet()


def test_a_data_set_is_uploaded(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/dashboard/data")
    rows = "a,b\n" + "\n".join(f"{step},{step * 2}" for step in range(40))

    visit.page.get_by_label("File").set_input_files(
        {"name": "rows.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    )
    visit.page.get_by_role("button", name="Upload").click()

    expect(visit.page.locator(".job", has_text="rows.csv")).to_contain_text("preparing")
    visit.assert_quiet()


def test_one_of_many_data_sets_in_preparation_is_deleted(engine: Engine, visit: Visit) -> None:
    with writing(engine) as session:
        for _ in range(8):
            add_uploaded_dataset(session)
    visit.page.on("dialog", lambda dialog: dialog.accept())
    visit.page.goto(f"{visit.url}/dashboard/data")
    preparing = visit.page.locator(".job", has_text="preparing")
    expect(preparing).to_have_count(8)

    preparing.first.get_by_role("button", name="Delete").click()

    expect(preparing).to_have_count(7, timeout=10_000)
    fail_a_preparation(engine)
    expect(visit.page.locator(".job", has_text="Nothing in it.")).to_be_visible()
    expect(preparing).to_have_count(6)
    visit.assert_quiet()


def test_the_picture_of_a_data_set_stays_while_others_change(engine: Engine, blobs: BlobStore, visit: Visit) -> None:
    with writing(engine) as session:
        add_uploaded_dataset(session)
        dataset = claim_dataset(session)
        attempt = dataset.attempt
        preview = store_file(blobs, job_id=dataset.id, attempt=attempt, name="preview.png", pieces=[a_tall_picture()])
        files = {"rows": a_file(dataset, "rows.npy"), "preview": preview}
        finish = preparation.finish_preparation
        finish(session, dataset.id, attempt, facts=DIGITS, warnings=[], files=files, quota_bytes=QUOTA_BYTES)
        add_uploaded_dataset(session)
    visit.page.goto(f"{visit.url}/dashboard/data")
    picture = visit.page.locator(".picture img")
    picture.evaluate("image => { image.dataset.mark = 'the same'; return image.decode(); }")

    fail_a_preparation(engine)

    expect(visit.page.locator(".job", has_text="Nothing in it.")).to_be_visible()
    expect(picture).to_have_attribute("data-mark", "the same")
    visit.assert_quiet()
