"""The reference of the console script and of the Python client, made from their code."""

import inspect
from collections.abc import Iterator

import click

from ganymede import client, datasets, jobs, sweeps, webhooks
from ganymede.cli import main

WIDTH = 110
OBJECTS = {
    "client": client.Client,
    "client.jobs": jobs.Jobs,
    "job": client.Job,
    "job.losses()": client.Losses,
    "job.sample()": client.Samples,
    "client.datasets": datasets.Datasets,
    "dataset": client.Dataset,
    "client.sweeps": sweeps.Sweeps,
    "sweep": client.Sweep,
    "client.webhooks": webhooks.Webhooks,
    "webhook": client.Webhook,
}


def describe_commands() -> str:
    """Return what `--help` says of every command."""
    every = [("ganymede", main), *_commands(main, "ganymede")]
    return "\n".join(f"## {words}\n\n```\n{_help(command, words)}\n```\n" for words, command in every)


def _commands(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}", command


def _help(command: click.Command, words: str) -> str:
    return command.get_help(click.Context(command, info_name=words, terminal_width=WIDTH, max_content_width=WIDTH))


def describe_client() -> str:
    """Return what there is to call, with what it does."""
    return "\n".join(_section(said, kind) for said, kind in OBJECTS.items())


def _section(said: str, kind: type) -> str:
    rows = "\n".join(f"| `{_call(name, member)}` | {_summary(member)} |" for name, member in _members(kind))
    return f"## {said}: {kind.__name__}\n\n{_summary(kind)}\n\n| call | what it does |\n|---|---|\n{rows}\n"


def _members(kind: type) -> Iterator[tuple[str, object]]:
    """Yield what is public, those of a common ancestor first."""
    for ancestor in reversed(kind.__mro__[:-1]):
        yield from (
            (name, member) for name, member in vars(ancestor).items() if name[0] != "_" and inspect.getdoc(member)
        )


def _call(name: str, member: object) -> str:
    if not inspect.isfunction(member):
        return name
    parameters = [*inspect.signature(member).parameters.values()][1:]
    return f"{name}{inspect.Signature([_brief(each) for each in parameters])}".replace("Ellipsis", "...")


def _brief(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter without its type, and with dots for a default that cannot be written down."""
    default = ... if callable(parameter.default) and parameter.default is not parameter.empty else parameter.default
    return parameter.replace(annotation=inspect.Parameter.empty, default=default)


def _summary(member: object) -> str:
    paragraphs = (inspect.getdoc(member) or "").split("\n\n")
    told = [" ".join(each.split()) for each in paragraphs if not each.startswith("    ")]
    return " ".join(told).replace("Raises: ", "Raises ")
