"""A webhook as a client posts it, and what it can be told of."""

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, HttpUrl
from pydantic_core import PydanticCustomError

from service.spec.parts.strict import Strict

JobEvent = Literal[
    "job.created",
    "job.forked",
    "job.queued",
    "job.started",
    "job.resumed",
    "job.plan",
    "job.status",
    "job.paused",
    "job.cancelled",
    "job.succeeded",
    "job.failed",
    "job.lost",
    "job.outperformed",
    "job.checkpoint",
    "job.sample",
    "job.quality",
    "job.diagnosis",
    "job.rollback",
    "job.note",
]
JOB_EVENTS: tuple[str, ...] = get_args(JobEvent)
Wanted = Literal["*"] | JobEvent
ENDS: list[Wanted] = ["job.succeeded", "job.failed", "job.cancelled"]


def _without_user_or_fragment(url: HttpUrl) -> HttpUrl:
    if url.username or url.password or url.fragment:
        raise PydanticCustomError("bad_url", "must have no user, password or fragment; messages are signed")
    return url


Address = Annotated[
    HttpUrl,
    AfterValidator(_without_user_or_fragment),
    Field(description="An http or https address on the open Internet, or at a host that the service's settings name."),
]
Events = Annotated[
    list[Wanted],
    Field(min_length=1, max_length=50, description="Types of messages that are sent; `*` is all, also future ones."),
]
Name = Annotated[str, Field(max_length=200)]


class WebhookSpec(Strict):
    """Where to tell what happens to your jobs, and what of it."""

    url: Address
    events: Events = ENDS
    name: Name | None = Field(None, description="For people.")


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class WebhookChanges(Strict):
    """What can change. What is left out stays."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    url: Address = Field(HttpUrl("https://example.org"))
    events: Events = ENDS
    name: Name | None = Field(None, description="For people.")
    enabled: bool = Field(True, description="While it is false nothing is sent and nothing more is written to be sent.")
