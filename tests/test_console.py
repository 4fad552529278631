"""What all commands of the console have in common, and completion in a shell."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from sqlalchemy import Engine
from structlog.testing import capture_logs

from ganymede.cli import main
from ganymede.up import free_port
from service.db import writing
from tests.building import add_job
from tests.conversation import make_client, serving

WITHOUT_JSON = {"completion"}  # it prints a script


def commands(group: click.Group = main, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command by its words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def test_every_command_can_print_json() -> None:
    without = {
        words for words, command in commands() if not any("--json" in parameter.opts for parameter in command.params)
    }

    assert without == WITHOUT_JSON


def test_no_command_is_cut_short_in_the_list_of_all() -> None:
    _, _, listed = CliRunner().invoke(main, ["--help"]).output.partition("Commands:")

    assert "..." not in listed


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


def completed(url: str, *words: str, incomplete: str) -> list[str]:
    """Return what a shell proposes for a word that was begun."""
    shell = BashComplete(main, {}, "ganymede", "_GANYMEDE_COMPLETE")
    return [item.value for item in shell.get_completions(["--url", url, *words], incomplete)]


def test_jobs_are_completed_by_id_and_by_name(engine: Engine) -> None:
    with writing(engine) as session:
        first, second = add_job(session, name="first"), add_job(session, name="second")
        ids = {first.id, second.id}
    with capture_logs(), serving(make_client(engine).application) as url:
        assert {*completed(url, "show", incomplete="job_")} == ids
        assert completed(url, "cancel", incomplete="sec") == [second.id]
        assert completed(url, "show", incomplete="third") == []


def test_nothing_is_proposed_or_said_where_no_service_answers(capfd: pytest.CaptureFixture[str]) -> None:
    assert completed(f"http://127.0.0.1:{free_port()}", "show", incomplete="") == []
    assert capfd.readouterr() == ("", "")


def test_bash_completes_commands_with_the_script() -> None:
    script = CliRunner().invoke(main, ["completion", "bash"]).stdout
    ask = f"""{script}
COMP_WORDS=(ganymede check) COMP_CWORD=1
_ganymede_completion {Path(sys.executable).parent / "ganymede"}
echo "${{COMPREPLY[@]}}"
"""

    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["checkpoints"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_their_script(shell: str) -> None:
    assert f"_GANYMEDE_COMPLETE={shell}_complete" in CliRunner().invoke(main, ["completion", shell]).stdout
