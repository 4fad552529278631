"""Answers are kept as they are sent: built once for all who ask for the same, and for each in what it takes."""

import gzip

from flask import Flask, Response, request

from service.answers.kept import LARGEST_BYTES, KeptAnswers
from service.answers.writing import tagged_by

GZIP = {"Accept-Encoding": "gzip"}
WORDS = b"the same words again. " * 200


def ask(kept: KeptAnswers, body: bytes, *facts: object, headers: dict[str, str] | None = None) -> tuple[Response, bool]:
    """Return an answer, and whether it was kept."""
    with Flask(__name__).test_request_context("/", headers=headers):
        response = tagged_by(request, *facts)
        if kept.fill(response, request):
            return response, True
        response.set_data(body)
        return kept.keep(response, request), False


def test_the_second_who_asks_gets_the_bytes_of_the_first() -> None:
    kept = KeptAnswers()

    (first, _), (second, was_kept) = (ask(kept, WORDS, "fact", headers=GZIP) for _ in range(2))

    assert was_kept
    assert second.headers["Content-Encoding"] == "gzip"
    assert second.data == first.data
    assert gzip.decompress(second.data) == WORDS


def test_what_has_changed_is_built_anew() -> None:
    kept = KeptAnswers()
    ask(kept, WORDS, "job", 1)

    answer, was_kept = ask(kept, b"news", "job", 2)

    assert (answer.data, was_kept) == (b"news", False)


def test_who_takes_no_gzip_is_sent_none() -> None:
    kept = KeptAnswers()
    ask(kept, WORDS, "fact", headers=GZIP)

    ask(kept, WORDS, "fact")
    answer, was_kept = ask(kept, b"", "fact")

    assert (answer.data, was_kept) == (WORDS, True)
    assert "Content-Encoding" not in answer.headers


def test_who_has_it_is_sent_nothing() -> None:
    kept = KeptAnswers()
    first, _ = ask(kept, WORDS, "fact")

    answer, needs_nothing = ask(kept, WORDS, "fact", headers={"If-None-Match": first.headers["ETag"]})

    assert (answer.status_code, needs_nothing) == (304, True)


def test_large_answers_are_not_kept() -> None:
    kept = KeptAnswers()

    were_kept = [ask(kept, b" " * (LARGEST_BYTES + 1), "fact")[1] for _ in range(2)]

    assert were_kept == [False, False]
