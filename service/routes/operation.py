"""How the service is: health, readiness, workers, queue, limits, metrics, the OpenAPI document."""

import orjson
from flask import Response, current_app, request

from service.answers.operation import (
    HealthAnswer,
    LimitsAnswer,
    QueueAnswer,
    ReadyAnswer,
    WorkerAnswer,
    WorkerPage,
)
from service.answers.writing import json_answer, page_answer, tagged
from service.api import Reply, Routes
from service.binding import PageQuery
from service.db import newest_revision, reading, schema_revision
from service.metrics import MEDIA_TYPE
from service.problems import Refused
from service.routes.jobs import IF_NONE_MATCH, NOT_MODIFIED, PAGED, TAGGED
from service.store import orders
from service.store.datasets import stored_bytes
from service.store.jobs import count_by_state, count_live
from service.store.webhooks import count_webhooks
from service.store.workers import list_workers, page_workers
from service.version import VERSION
from service.web import Caller, Web

routes = Routes("operation", "How the service is.")


@routes.add("GET", "/healthz", scope=None, replies={200: Reply("The process lives.", HealthAnswer)})
def show_health() -> Response:
    """Tell that the process lives, and its version; asks nobody else."""
    return json_answer(HealthAnswer(status="ok", version=VERSION))


@routes.add("GET", "/readyz", scope=None, replies={200: Reply("Jobs can be taken.", ReadyAnswer)}, problems=(503,))
def show_readiness(web: Web) -> Response:
    """Tell whether jobs can be taken: the database answers and has its tables."""
    revision = schema_revision(web.engine)
    if revision != newest_revision():
        found = "has no tables yet" if revision is None else f"has the tables of revision {revision}"
        wanted = f"this version needs those of {newest_revision()}. Bring them with: ganymede migrate"
        raise Refused("database_unavailable", f"The database {found}; {wanted}")
    return json_answer(ReadyAnswer(status="ready", version=VERSION, schema_revision=revision))


@routes.add(
    "GET",
    "/workers",
    replies={200: Reply("All workers.", WorkerPage, headers=PAGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def list_all_workers(web: Web, query: PageQuery) -> Response:
    """List the workers that are seen."""
    with reading(web.engine) as session:
        page = page_workers(session, limit=query.limit, cursor=query.cursor)
        data = [WorkerAnswer.of(worker) for worker in page.data]
    return page_answer(WorkerPage, data, page, request)


@routes.add("GET", "/queue", replies={200: Reply("The queue.", QueueAnswer)})
def show_queue(web: Web) -> Response:
    """Count what waits and what runs, of all owners, and the slots there are."""
    with reading(web.engine) as session:
        states, workers = count_by_state(session), list_workers(session)
    return json_answer(
        QueueAnswer(
            queued=states["queued"],
            running=states["running"],
            paused=states["paused"],
            slots=sum(worker.slots for worker in workers),
            busy=sum(worker.busy for worker in workers),
        )
    )


@routes.add("GET", "/limits", replies={200: Reply("The limits.", LimitsAnswer)})
def show_limits(web: Web, caller: Caller) -> Response:
    """Tell what a request and an owner may use, and what you use now."""
    with reading(web.engine) as session:
        live_jobs = count_live(session, caller.owner_id)
        dataset_bytes = stored_bytes(session, caller.owner_id)
        live_orders = orders.count_live(session, caller.owner_id)
        sample_bytes = orders.stored_bytes(session, caller.owner_id)
        webhooks = count_webhooks(session, caller.owner_id)
    settings = web.settings
    return json_answer(
        LimitsAnswer(
            body_bytes=settings.body_bytes,
            job_memory_bytes=settings.job_memory_bytes,
            max_live_jobs=settings.max_live_jobs,
            live_jobs=live_jobs,
            dataset_max_bytes=settings.dataset_max_bytes,
            dataset_quota_bytes=settings.dataset_quota_bytes,
            dataset_bytes=dataset_bytes,
            max_live_orders=settings.max_live_orders,
            live_orders=live_orders,
            sample_quota_bytes=settings.sample_quota_bytes,
            sample_bytes=sample_bytes,
            max_webhooks=settings.max_webhooks,
            webhooks=webhooks,
        )
    )


@routes.add("GET", "/metrics", replies={200: Reply("Numbers for Prometheus.", media_types=("text/plain",))})
def show_metrics(web: Web) -> Response:
    """Show requests, jobs by state and workers in Prometheus' text format."""
    return Response(web.metrics.exposition(), content_type=MEDIA_TYPE)


@routes.add(
    "GET",
    "/openapi.json",
    scope=None,
    replies={200: Reply("This document.", media_types=("application/json",), headers=TAGGED), 304: NOT_MODIFIED},
    request_headers=IF_NONE_MATCH,
)
def show_openapi() -> Response:
    """Show the OpenAPI 3.1 document of the service."""
    document = current_app.extensions["openapi_document"]
    return tagged(Response(orjson.dumps(document), mimetype="application/json"), request)
