"""A thing of the service as its clients hold it: what was last told of it, and where to ask again."""

from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar, cast
from urllib.parse import quote

from ganymede.transport import Transport

Answer = TypeVar("Answer", bound=Mapping[str, object])


class Resource(Generic[Answer]):
    """`data` is what the service told last; every method that hears more of the thing keeps it up to date."""

    def __init__(self, transport: Transport, data: Answer) -> None:
        self._transport = transport
        self.data = data

    @property
    def id(self) -> str:
        """The name that the service has given it."""
        return str(self.data["id"])

    @property
    def path(self) -> str:
        """Where it is asked for."""
        links = cast("Mapping[str, str]", self.data["links"])
        return links["self"]

    def _ask(self, method: str, path: str = "", **request: Any) -> Self:
        """Send a request about the thing that is answered with it as it is now."""
        self.data = cast("Answer", self._transport.object(method, f"{self.path}{path}", **request))
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


def path_of(noun: str, id: str) -> str:
    """Return where a thing is found by its id, whatever that holds."""
    return f"/{noun}/{quote(id, safe='')}"


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that were given."""
    return {name: value for name, value in values.items() if value is not None}
