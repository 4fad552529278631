"""Exports that are not ready yet, as clients see them."""

from typing import Literal, cast

from pydantic import BaseModel, Field

from service.answers.writing import Moment
from service.models import Order
from service.spec.exports import ExportFormat


class ExportAnswer(BaseModel):
    """An export that a worker renders."""

    job: str
    checkpoint: int = Field(description="The step, where `latest` or `best` was asked for, too.")
    part: Literal["generator", "ema"]
    format: ExportFormat
    status: Literal["queued", "rendering"]
    created_at: Moment
    links: dict[str, str]

    @classmethod
    def of(cls, order: Order) -> "ExportAnswer":
        """Tell an order for an export."""
        return cls(
            job=order.job_id,
            checkpoint=order.generator["step"],
            part=order.generator["part"],
            format=order.drawing["export"],
            status=cast("Literal['queued', 'rendering']", order.state),
            created_at=order.created_at,
            links={"self": url_of(order), "job": f"/jobs/{order.job_id}"},
        )


def url_of(order: Order) -> str:
    """Return where an export is, whatever becomes the latest checkpoint or the best meanwhile."""
    step, part = order.generator["step"], order.generator["part"]
    return f"/jobs/{order.job_id}/checkpoints/{step}/exports/{order.drawing['export']}?part={part}"
