"""Gives a command its client, and turns what the service refuses into a message and an exit code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

import click

from ganymede.exit_codes import ExitCode


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Call the command with a client as its first argument."""

    @wraps(command)
    @click.pass_context
    def connected(context: click.Context, *args: Any, **options: Any) -> None:
        from ganymede.client import Client

        url, key = context.obj
        try:
            client = Client(url, key)
        except ValueError as error:
            raise click.UsageError(f"{error}.") from error
        with in_words(), client:
            command(client, *args, **options)

    return connected


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what a client raises within the block into a message and an exit code."""
    from ganymede.client import GanymedeProblem, ServiceUnreachable

    try:
        yield
    except GanymedeProblem as problem:
        stop(str(problem), ExitCode.REFUSED if problem.status < 500 else ExitCode.UNREACHABLE)
    except ServiceUnreachable as error:
        stop(str(error), ExitCode.UNREACHABLE)
    except BrokenPipeError:
        raise  # whoever read what we print has heard enough
    except OSError as error:  # a file of ours; what happens on the way to the service is ServiceUnreachable
        stop(str(error), ExitCode.FAILED)
    except KeyboardInterrupt:
        stop("Interrupted.", ExitCode.INTERRUPTED)


def stop(message: str, code: ExitCode) -> NoReturn:
    """End the command with a message and an exit code."""
    click.secho(message, fg="red", err=True)
    raise click.exceptions.Exit(code)
