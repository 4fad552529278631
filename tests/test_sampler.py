"""Orders carried out as a worker does it: drawn by a warm process of its own, stored, shown."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sqlalchemy import ColumnElement, Engine, not_, true

from service.blobs import BlobStore, Directory, read_verified
from service.db import reading, writing
from service.errands import Errand
from service.errors import StorageAway
from service.models import Job, Order
from service.settings import Settings
from service.spec.drawing import SMALL_N, Drawing, drawing_from_json, parse_sample
from service.spec.exports import Export
from service.spec.wishes import resolve_sample
from service.store import jobs, orders
from service.store.checkpoints import get_checkpoint
from service.store.doomed import list_doomed
from service.store.keys import create_key
from service.store.orders import is_small
from tests.generators import a_generator, job_with_generator
from tests.house import wait_until
from tests.outages import hear_nothing_of_a_commit, outage
from worker.forkserver import ForkServer
from worker.gan.exports import export_generator
from worker.gan.generation import open_generator
from worker.rendering import describe
from worker.sampler import QUICK_S, Sampler

MakeSampler = Callable[..., Sampler]
Tell = Callable[[str], None]
ANY = true()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return Directory(tmp_path / "blobs")


@pytest.fixture
def make_sampler(engine: Engine, blobs: BlobStore, tmp_path: Path) -> Iterator[MakeSampler]:
    made = []

    def make(
        takes: ColumnElement[bool] = ANY, *, quick_s: float = QUICK_S, tell: Tell = print, **settings: Any
    ) -> Sampler:
        given = Settings(_env_file=None, home=tmp_path, **{"flush_s": 0.1, **settings})
        place: dict[str, Any] = {"worker_id": f"worker-{len(made)}", "takes": takes, "quick_s": quick_s}
        sampler = Sampler(engine, blobs, ForkServer(), tell, settings=given, **place)
        made.append(sampler)
        return made[-1]

    yield make
    for sampler in made:
        sampler.drain()
        sampler.join()


def order(engine: Engine, job_id: str, **wish: Any) -> str:
    """Store an order for samples as the web does; return its id."""
    posted, header = parse_sample({"seed": 1, **wish}), open_generator(a_generator("iris")).header
    return order_work(engine, job_id, resolve_sample(posted, header, memory_bytes=2**30))


def order_work(engine: Engine, job_id: str, work: Drawing | Export) -> str:
    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        file = get_checkpoint(session, job_id, "latest").files["generator"]
        generator = {**file, "part": "generator", "step": 10}
        wish: dict[str, Any] = {"generator": generator, "drawing": work, "request": {}}
        order_id = orders.make_order_id()
        return orders.create_order(session, order_id, owner_id=job.owner_id, job_id=job.id, **wish).id


def see(engine: Engine, order_id: str) -> Order:
    with reading(engine) as session:
        return session.get_one(Order, order_id)


def progress(engine: Engine, order_id: str) -> tuple[str, int]:
    return see(engine, order_id).state, see(engine, order_id).attempt


def warm_process(sampler: Sampler) -> psutil.Process:
    assert sampler._warm is not None
    return psutil.Process(sampler._warm.process.pid)


def slow(engine: Engine, job_id: str) -> str:
    """Order what takes seconds: many rows of which few exist, though not so few that the search is given up."""
    lengths, shares = np.unique(open_generator(a_generator("iris")).sample(20_000, seed=1)[0][:, 0], return_counts=True)
    shortest = lengths[np.searchsorted(shares.cumsum(), 20_000 / 500)]
    return order(engine, job_id, n=10_000, where={"sepal length (cm)": {"maximum": float(shortest)}})


def test_orders_are_carried_out_by_one_warm_process_that_has_its_own_title(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    job_id = job_with_generator(engine, blobs)
    wishes = [{"n": 7}, {"n": 3, "classes": ["setosa"]}, {"n": 4, "where": {"petal width (cm)": {"minimum": 1}}}]
    ids = [order(engine, job_id, **wish) for wish in wishes]
    told = []
    sampler = make_sampler(tell=lambda order_id: told.append((order_id, see(engine, order_id).state)))

    sampler.work()
    first = warm_process(sampler)
    ids.append(order(engine, job_id, n=2, format="npz"))
    sampler.work()

    made = [see(engine, order_id) for order_id in ids]
    here = open_generator(a_generator("iris"))
    assert told == [(order_id, "ready") for order_id in ids]
    for each in made:
        stored = read_verified(blobs, each.files["samples"])
        assert stored == here.carry_out(drawing_from_json(each.drawing))
    assert warm_process(sampler) == first
    assert " ".join(first.cmdline()).strip() == "ganymede: sampler"


def test_an_errand_is_drawn_unwritten_unless_it_takes_long(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    job_id = job_with_generator(engine, blobs)
    sampler, answers = make_sampler(), []

    def run(order: Order) -> None:
        sampler.run(Errand(order.id, order.generator, order.drawing), lambda *answer: answers.append(answer))

    quick, lengthy = see(engine, order(engine, job_id, n=7)), see(engine, slow(engine, job_id))
    with writing(engine) as session:
        orders.delete_order(session, quick.owner_id, quick.id)  # none is stored when an errand is sent

    run(quick)
    run(lengthy)

    [(_, file), told] = answers
    drawn = open_generator(a_generator("iris")).carry_out(drawing_from_json(quick.drawing))
    assert read_verified(blobs, file) == drawn
    assert told == (lengthy.id, None)
    assert progress(engine, lengthy.id) == ("ready", 1)


def test_an_export_is_made_beside_large_orders_by_the_process_that_holds_the_generator(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    job_id = job_with_generator(engine, blobs)
    small, others = make_sampler(takes=is_small()), make_sampler(takes=not_(is_small()), quick_s=0.0)
    order_id = order_work(engine, job_id, Export("torch_export"))

    small.work()
    before = progress(engine, order_id)
    others.work()

    assert before == ("queued", 0)
    assert progress(engine, order_id) == ("ready", 1)
    stored = read_verified(blobs, see(engine, order_id).files["samples"])
    assert stored == export_generator(open_generator(a_generator("iris")), "torch_export")


def test_an_errand_that_is_written_down_by_the_time_it_is_drawn_is_ended(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sampler.AT_ONCE_S", 0.0)
    written, answers = see(engine, order(engine, job_with_generator(engine, blobs))), []

    make_sampler().run(Errand(written.id, written.generator, written.drawing), lambda *told: answers.append(told))

    assert progress(engine, written.id) == ("ready", 1)
    assert answers == [(written.id, None)]


def test_a_sampler_at_work_leaves_an_errand_to_others(make_sampler: MakeSampler) -> None:
    sampler, answers = make_sampler(), []
    running = threading.Thread(target=sampler.run, args=(Errand("smp_1", {}, {}), lambda *told: answers.append(told)))

    with sampler._calls.working:
        running.start()
        running.join(10)
        told = [*answers]
    running.join()

    assert told == [("smp_1", None)]


def test_what_is_too_rare_fails_with_how_rare_it_is(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    where = {"petal width (cm)": {"maximum": -1e6}}
    order_id = order(engine, job_with_generator(engine, blobs), n=1, where=where)

    make_sampler().work()

    assert see(engine, order_id).error_code == "too_rare"
    assert str(see(engine, order_id).error_message).startswith("None of 101,000 rows")


def test_a_checkpoint_that_is_gone_fails_in_words(engine: Engine, blobs: BlobStore, make_sampler: MakeSampler) -> None:
    job_id = job_with_generator(engine, blobs)
    order_id = order(engine, job_id)
    blobs.delete(see(engine, order_id).generator["key"])

    make_sampler().work()

    assert see(engine, order_id).error_code == "file_missing"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv/blobs/x"), "no_storage"),
        (StorageAway("the object store does not answer"), "no_storage"),
        (PermissionError(errno.EACCES, "Permission denied", "/srv/blobs/x"), "crashed"),
    ],
)
def test_what_storage_refuses_is_told_without_paths(error: OSError, code: str) -> None:
    told = describe(error)

    assert told.reason == code
    assert "/srv" not in told.message


def test_a_process_that_dies_at_work_is_replaced_and_the_order_tried_again(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    job_id = job_with_generator(engine, blobs)
    sampler = make_sampler(losses_in_row=2)
    sampler.work()
    order_id = slow(engine, job_id)
    working = threading.Thread(target=sampler.work)
    working.start()

    for attempt in (1, 2):
        wait_until(
            lambda n=attempt: (o := see(engine, order_id)).attempt == n and o.state == "rendering", "it is drawn"
        )
        os.kill(warm_process(sampler).pid, signal.SIGKILL)
    working.join()

    lost = see(engine, order_id)
    assert (lost.state, lost.error_code, lost.losses) == ("failed", "sampling_failed", 2)
    assert "exit code -9" in str(lost.error_message)


def test_what_takes_too_long_is_ended(engine: Engine, blobs: BlobStore, make_sampler: MakeSampler) -> None:
    order_id = slow(engine, job_with_generator(engine, blobs))

    make_sampler(sample_s=1.0).work()

    assert see(engine, order_id).error_code == "samples_too_slow"


def test_a_draining_worker_gives_the_order_back_uncharged(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    order_id = slow(engine, job_with_generator(engine, blobs))
    sampler = make_sampler()
    working = threading.Thread(target=sampler.work)
    working.start()
    wait_until(lambda: see(engine, order_id).made, "some samples are made")

    sampler.drain()
    working.join(10)

    given_back = see(engine, order_id)
    assert (working.is_alive(), given_back.state, given_back.losses, given_back.worker) == (False, "queued", 0, None)
    assert given_back.made == 0


def test_an_outage_at_the_end_of_an_order_is_waited_for_and_charges_nothing(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sampler._LOOK_S", 0.01)
    order_id = order(engine, job_with_generator(engine, blobs))

    with outage(engine, "orders", "finished_at", times=2):
        make_sampler().work()

    assert progress(engine, order_id) == ("ready", 1)
    assert see(engine, order_id).losses == 0


def test_a_claim_whose_answer_was_lost_is_held_all_the_same(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    sampler = make_sampler()
    sampler.work()
    order_id = slow(engine, job_with_generator(engine, blobs))
    hear_nothing_of_a_commit(engine)

    sampler.work()

    assert progress(engine, order_id) == ("ready", 1)


@pytest.mark.parametrize(("n", "quick_s"), [(1, 60.0), (10_000, 0.0)])
def test_two_workers_draw_the_same_and_at_the_same_orders_keep_their_warm_processes(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler, n: int, quick_s: float
) -> None:
    job_id, same = job_with_generator(engine, blobs), job_with_generator(engine, blobs)
    samplers = [make_sampler(quick_s=quick_s), make_sampler(quick_s=quick_s)]
    firsts = []
    for each, sampler in zip((job_id, same), samplers, strict=True):
        firsts.append(order(engine, each, n=300, seed=42))
        sampler.work()
    before = [warm_process(sampler) for sampler in samplers]
    ids = [order(engine, job_id, n=n, seed=seed) for seed in range(10)]

    working = [threading.Thread(target=sampler.work) for sampler in samplers]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()

    assert {see(engine, order_id).state for order_id in ids} == {"ready"}
    assert [warm_process(sampler) for sampler in samplers] == before
    first, second = (see(engine, each).files["samples"] for each in firsts)
    assert (first["sha256"], first["key"] == second["key"]) == (second["sha256"], False)


def test_owners_take_turns(engine: Engine, blobs: BlobStore, make_sampler: MakeSampler) -> None:
    with writing(engine) as session:
        other = create_key(session, name="other", owner_name="other", scope="admin", expires_at=None)[0].owner_id
    many, few = job_with_generator(engine, blobs), job_with_generator(engine, blobs, owner_id=other)
    firsts = [order(engine, many, n=1, seed=seed) for seed in range(3)]
    seconds = [order(engine, few, n=1, seed=seed) for seed in range(2)]

    make_sampler().work()

    carried_out = sorted([*firsts, *seconds], key=lambda order_id: str(see(engine, order_id).finished_at))
    assert carried_out == [firsts[0], seconds[0], firsts[1], seconds[1], firsts[2]]


def test_small_orders_and_all_others_have_a_place_each(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    job_id = job_with_generator(engine, blobs)
    searching = order(engine, job_id, n=2, where={"petal width (cm)": {"minimum": 0}})
    large, small = order(engine, job_id, n=SMALL_N + 1), order(engine, job_id, n=SMALL_N)

    make_sampler(takes=is_small()).work()
    first = [see(engine, each).state for each in (searching, large, small)]
    make_sampler(takes=not_(is_small())).work()

    assert first == ["queued", "queued", "ready"]
    assert [see(engine, each).state for each in (searching, large)] == ["ready", "ready"]


def test_an_order_of_a_deleted_job_is_dropped_and_leaves_no_file(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    job_id = job_with_generator(engine, blobs)
    order_id = slow(engine, job_id)
    sampler = make_sampler()
    working = threading.Thread(target=sampler.work)
    working.start()
    wait_until(lambda: see(engine, order_id).state == "rendering", "it is drawn")
    blobs.put(f"{order_id}/1/samples-0.csv", b"of a slow write")

    with writing(engine) as session:
        job = session.get_one(Job, job_id)
        job.state = "succeeded"
        session.flush()
        jobs.delete_job(session, job)
    working.join(10)

    with reading(engine) as session:
        assert f"{order_id}/1/samples-0.csv" in {blob.key for blob in list_doomed(session)}
    assert sampler._warm is None


def test_after_a_fault_nobody_is_given_the_answer_to_another_order(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, sampler = job_with_generator(engine, blobs), make_sampler()
    first = slow(engine, job_id)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("nobody foresaw it")

    with monkeypatch.context() as patch:
        patch.setattr(orders, "claim_order", fail)
        with pytest.raises(RuntimeError):
            sampler.work()
    with writing(engine) as session:
        session.delete(session.get_one(Order, first))
    second = order(engine, job_id, n=3)
    sampler.work()

    assert see(engine, second).files["samples"]["key"].startswith(f"{second}/")


def test_a_call_while_orders_are_carried_out_is_not_lost(
    engine: Engine, blobs: BlobStore, make_sampler: MakeSampler
) -> None:
    job_id = job_with_generator(engine, blobs)
    sampler = make_sampler()
    sampler.work()
    calls = []

    for seed in range(10):
        order(engine, job_id, n=1, seed=seed)
        calls.append(threading.Thread(target=sampler.work))
        calls[-1].start()
    for call in calls:
        call.join()

    with reading(engine) as session:
        assert not orders.next_orders(session)
