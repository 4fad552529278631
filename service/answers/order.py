"""Samples that were asked for, as clients see them."""

from typing import Literal, cast

from pydantic import BaseModel, Field

from service.answers.artifact import FileAnswer
from service.answers.writing import Moment
from service.models import Order, OrderState
from service.spec.drawing import SampleSpec

OrderStatus = Literal["queued", "rendering", "ready", "failed"]


class OrderError(BaseModel):
    """Why there are no samples."""

    code: str
    message: str = Field(description="What happened, and what would help.")


class MadeAnswer(BaseModel):
    """How far samples are: made so far, of all; once all are made, their file is still to be written."""

    made: int
    n: int
    fraction: float

    @classmethod
    def of(cls, order: Order) -> "MadeAnswer":
        """Tell how far an order is."""
        n = order.drawing["n"]
        made = n if order.state == OrderState.READY else order.made
        return cls(made=made, n=n, fraction=made / n)


class OrderAnswer(BaseModel):
    """Samples that were asked for."""

    id: str
    job: str
    status: OrderStatus
    version: int = Field(description="Grows with every change; wait for the next one with ?wait=&since=.")
    progress: MadeAnswer
    request: SampleSpec = Field(description="With every value filled in; posted again, it gives the same bytes.")
    file: FileAnswer | None = Field(description="Once it is ready.")
    error: OrderError | None
    created_at: Moment
    finished_at: Moment | None
    links: dict[str, str]

    @classmethod
    def of(cls, order: Order) -> "OrderAnswer":
        """Tell an order."""
        url = f"/samples/{order.id}"
        file = order.files.get("samples")
        return cls(
            id=order.id,
            job=order.job_id,
            status=cast("OrderStatus", order.state),
            version=order.version,
            progress=MadeAnswer.of(order),
            request=SampleSpec.model_validate(order.request),
            file=FileAnswer.of(file, f"{url}/file") if file else None,
            error=_error_of(order),
            created_at=order.created_at,
            finished_at=order.finished_at,
            links={"self": url, "job": f"/jobs/{order.job_id}"} | ({"file": f"{url}/file"} if file else {}),
        )


def _error_of(order: Order) -> OrderError | None:
    if order.error_code is None:
        return None
    return OrderError(code=order.error_code, message=order.error_message or "")
