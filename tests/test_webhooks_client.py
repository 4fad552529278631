"""Webhooks from the console script and the client, against an application that is served in this process."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine
from structlog.testing import capture_logs

from ganymede.cli import main
from ganymede.exit_codes import ExitCode
from tests.conversation import make_client, serving

HOOK = "https://example.org/hook"


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    """The address of an application on the database."""
    with (
        capture_logs(),
        serving(make_client(engine).application) as address,
    ):  # they would stand in what the commands print
        yield address


def webhooks(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--url", url, "webhooks", *arguments])


def test_the_secret_alone_is_printed_once_to_keep(url: str) -> None:
    created = webhooks(url, "create", HOOK, "--event", "job.failed", "--event", "job.lost")

    (listed,) = json.loads(webhooks(url, "list", "--json").output)
    assert created.stdout.startswith("whsec_")
    assert listed["id"] in created.stderr
    assert listed["events"] == ["job.failed", "job.lost"]
    assert "secret" not in listed


def test_a_webhook_is_changed_tested_and_deleted(url: str) -> None:
    webhook_id = json.loads(webhooks(url, "create", HOOK, "--name", "mine", "--json").stdout)["id"]

    message_id = webhooks(url, "test", webhook_id).output.strip()
    again = json.loads(webhooks(url, "redeliver", webhook_id, message_id, "--json").output)
    disabled = json.loads(webhooks(url, "change", webhook_id, "--disable", "--json").output)
    messages = webhooks(url, "deliveries", webhook_id, "--status", "waiting").output.split()
    refused = webhooks(url, "test", webhook_id)
    webhooks(url, "delete", webhook_id)

    assert [message["id"] for message in again] == [message_id]
    assert [(each["name"], each["enabled"], each["url"]) for each in disabled] == [("mine", False, HOOK)]
    assert message_id in messages
    assert refused.exit_code == ExitCode.REFUSED
    assert json.loads(webhooks(url, "list", "--json").output) == []
