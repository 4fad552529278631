"""A typed HTTP client of the REST contract: what a Python program imports.

It knows neither Flask nor torch, and raises a problem as an exception.

    from ganymede.client import Client

    with Client() as client:
        job = client.jobs.create(dataset="digits").wait()
        job.sample(n=64, format="png").download("digits.png")
"""

import os
from typing import Any, Self

from ganymede.datasets import Dataset, Datasets
from ganymede.job import Job
from ganymede.jobs import Jobs
from ganymede.losses import Losses
from ganymede.samples import Samples
from ganymede.sweeps import Sweep, Sweeps
from ganymede.transport import REQUEST_TIMEOUT_S, GanymedeProblem, ServiceUnreachable, Transport
from ganymede.webhooks import Webhook, Webhooks

DEFAULT_URL = "http://127.0.0.1:8000"

__all__ = [
    "Client",
    "Dataset",
    "GanymedeProblem",
    "Job",
    "Losses",
    "Samples",
    "ServiceUnreachable",
    "Sweep",
    "Webhook",
]


class Client:
    """A connection to one service, under one key: GANYMEDE_URL and GANYMEDE_KEY where they are not given.

    Once the service has answered, a request that is safe to repeat is repeated for `patience_s` (60) while it is away,
    so that a long watch survives a restart. Creating a job is safe too: it carries an idempotency key.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience_s: float = 60.0,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        url, key = url or os.environ.get("GANYMEDE_URL", DEFAULT_URL), key or os.environ.get("GANYMEDE_KEY")
        self._transport = Transport(url, key, patience_s=patience_s, timeout_s=timeout_s)
        self.url = self._transport.url
        self.jobs = Jobs(self._transport)
        self.datasets = Datasets(self._transport)
        self.sweeps = Sweeps(self._transport)
        self.webhooks = Webhooks(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def catalog(self) -> dict[str, Any]:
        """Return what there is to choose from: data sets, architectures, objectives, loops, recipes."""
        return self._transport.object("GET", "/catalog")

    def is_ready(self) -> bool:
        """Tell whether the service can take jobs now; never raises, never waits long."""
        return self._transport.is_ready()
