"""HTTP on the client's side: requests that are repeated where that is safe, refusals as exceptions, pages, files."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from json import dumps, loads
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2

REQUEST_TIMEOUT_S = 30.0
LONG_POLL_S = 20.0  # for which a request waits that is answered as soon as something has changed
LONGER_S = 10.0  # than a request asks to wait, for which its answer is waited for
RETRY_S = 0.5
TOO_MANY_WATCHERS = "too_many_watchers"  # a refusal that is no sign of the service's being away
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_NEAREST = "did you mean"  # says a message that names the nearest of many
QUIET_S = 45.0  # for which a stream may say nothing; the service gives a sign of life each 15


T = TypeVar("T")

OnProgress = Callable[[int, int | None], object]
"""Is called with the bytes that were moved so far, and with how many there are, None where nobody knows."""


def ignore(_: int, __: int | None) -> None:
    """Tell nobody of any progress."""


class GanymedeProblem(Exception):
    """A refusal of the service, as its problem document; str() names every fault on a line of its own."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.code: str = document.get("code", "unknown")
        self.faults: list[dict[str, Any]] = list(document.get("errors") or [])
        self.document = document
        title = str(document.get("title") or f"The service answered {status}.")
        lines = [f"{title}:", *map(_fault_line, self.faults)] if self.faults else [document.get("detail") or title]
        super().__init__("\n".join(lines))


class ServiceUnreachable(Exception):
    """Nobody answers at the address, or the answer does not come from Ganymede."""


class Transport:
    """A connection to one service, under one key.

    Once the service has answered, a request that is safe to repeat is repeated for `patience_s` while it is away.
    Raises ValueError for an address that is none.
    """

    def __init__(self, url: str, key: str | None, *, patience_s: float, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no address of a service, such as http://127.0.0.1:8000")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self.patience_s = patience_s
        self._has_answered = False
        self._timeout_s = timeout_s
        try:
            self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout_s)
        except httpx2.InvalidURL as error:
            raise ValueError(f"{url!r} is no address of a service: {error}") from error

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def is_ready(self) -> bool:
        """Tell whether the service can take jobs now; never raises, never waits long."""
        try:
            is_ready = self._http.get("/readyz", timeout=2.0).status_code == 200
        except httpx2.HTTPError:
            return False
        self._has_answered = self._has_answered or is_ready
        return is_ready

    def download(self, path: str, target: Path, on_progress: OnProgress = ignore, **query: str | int) -> int:
        """Write a resource to a file, whole or not at all; return its size in bytes."""

        def write() -> int:
            try:
                with self._http.stream("GET", path, params=query) as answer:
                    self._has_answered = True
                    if not answer.is_success:
                        answer.read()
                        raise _refusal(answer)
                    return write_whole(target, _told(answer, on_progress))
            except httpx2.TransportError as error:
                raise ServiceUnreachable(f"{self.url} stopped answering: {error}") from error

        return self._patiently(write)

    def lines(self, path: str, **query: str | int) -> Iterator[dict[str, Any] | None]:
        """Yield the JSON objects of an answer that comes line by line, for as long as it comes; None is a sign of life.

        A line that breaks off in its midst is left out. Raises ServiceUnreachable where nobody answers.
        """
        headers = {"Accept": "application/x-ndjson"}
        try:
            with self._http.stream("GET", path, params=query, headers=headers, timeout=QUIET_S) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                for line in _whole_lines(answer.iter_bytes()):
                    yield loads(line) if line.strip() else None
        except httpx2.TransportError as error:
            raise ServiceUnreachable(f"{self.url} stopped answering: {error}") from error

    def pages(self, path: str, query: Mapping[str, str | int] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list through all its pages."""
        params: dict[str, str | int] = {**(query or {})}
        while True:
            page = self.object("GET", path, params=params)
            yield from page["data"]
            if not page["has_more"]:
                return
            params["cursor"] = page["next_cursor"]

    def object(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Return the JSON object that a request is answered with."""
        answer = self.send(method, path, **request)
        try:
            return cast("dict[str, Any]", answer.json())
        except ValueError as error:
            raise _stranger(answer) from error

    def send(self, method: str, path: str, *, may_repeat: bool | None = None, **request: Any) -> httpx2.Response:
        """Return a successful answer; what is safe to repeat is, for a while: by default what is no POST."""
        if method == "POST" if may_repeat is None else not may_repeat:
            return self._answer(method, path, **request)
        return self._patiently(lambda: self._answer(method, path, **request))

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask, and ask again for a while where the service has answered before and is away now."""
        deadline_s: float | None = None  # from the first failure on: a large file may have come for long before it
        while True:
            try:
                return ask()
            except ServiceUnreachable:
                deadline_s = deadline_s or time.monotonic() + self.patience_s
                if not self._has_answered or time.monotonic() > deadline_s:
                    raise
            time.sleep(RETRY_S)

    def _answer(self, method: str, path: str, *, json: Any = None, **request: Any) -> httpx2.Response:
        if json is not None:
            request["content"] = dumps(json, default=_plain, allow_nan=False)
            request["headers"] = {"Content-Type": "application/json", **request.get("headers", {})}
        if waits_s := float((request.get("params") or {}).get("wait", 0)):
            request.setdefault("timeout", max(self._timeout_s, waits_s + LONGER_S))
        try:
            answer = self._http.request(method, path, **request)
        except httpx2.TransportError as error:
            raise ServiceUnreachable(f"{self.url} does not answer ({error}). Start it with: ganymede up") from error
        self._has_answered = True
        if not answer.is_success:
            raise _refusal(answer)
        return answer


def write_whole(target: Path, pieces: Iterable[bytes]) -> int:
    """Write a file that appears whole or not at all; return its size in bytes."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is no directory, so {target.name} cannot be written there")
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            size_bytes = sum(file.write(piece) for piece in pieces)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return size_bytes


def _told(answer: httpx2.Response, on_progress: OnProgress) -> Iterator[bytes]:
    """Yield the pieces of an answer and tell of each; one that is packed on its way has no known size."""
    is_packed = "content-encoding" in answer.headers
    total = None if is_packed else _number(answer.headers.get("content-length"))
    received = 0
    for piece in answer.iter_bytes():
        yield piece
        received += len(piece)
        on_progress(received, total)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that end, as JSON may hold what else text is split at; an empty one for blanks between them."""
    begun = b""
    for piece in pieces:
        *lines, begun = (begun + piece).split(b"\n")
        yield from lines
        if begun.isspace():
            begun = b""
            yield b""


def _refusal(answer: httpx2.Response) -> GanymedeProblem | ServiceUnreachable:
    if "problem+json" not in answer.headers.get("content-type", ""):
        return _stranger(answer)
    problem = GanymedeProblem(answer.status_code, answer.json())
    is_away = answer.status_code == 503 and problem.code != TOO_MANY_WATCHERS
    return ServiceUnreachable(f"The service is away: {problem}") if is_away else problem


def _stranger(answer: httpx2.Response) -> ServiceUnreachable:
    return ServiceUnreachable(f"{answer.url} answered {answer.status_code} and is not Ganymede.")


def _fault_line(fault: Mapping[str, Any]) -> str:
    return f"  {fault.get('pointer') or '/'}: {fault.get('message', '')}{_what_would_be_right(fault)}"


def _what_would_be_right(fault: Mapping[str, Any]) -> str:
    """Return what a fault allows, unless its message says so itself."""
    match fault.get("allowed"):
        case dict() as limits:
            right = {f"{limit} {_word(value)}": _word(value) for limit, value in limits.items() if value is not None}
        case list() as names:
            right = {_word(name): _word(name) for name in names}
        case None:
            right = {}
        case value:
            right = {_word(value): _word(value)}
    message, got = _THOUSANDS.sub("", fault.get("message", "")), fault.get("got")
    told = message.replace(repr(got), "") if isinstance(got, str) else message
    is_said = _NEAREST in message or all(re.search(_standing_alone(word), told) for word in right.values())
    return "" if is_said else f" ({', '.join(right)})"


def _word(value: object) -> str:
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _standing_alone(text: str) -> str:
    return rf"(?<!\w){re.escape(text)}(?!\w|\.\d)"


def _plain(value: Any) -> Any:
    """Return as JSON has it what numpy holds, arrays as lists and their numbers as numbers, and any mapping."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has: {value!r}")
