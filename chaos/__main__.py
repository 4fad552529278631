"""`python -m chaos`: storms of random faults, and scenarios that are the same each time."""

import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import structlog

from chaos import scenarios
from chaos.faults import BOTH, FAULTS
from chaos.figures import ROOT, add_report, summary
from chaos.scenarios import load
from chaos.stack import Database
from chaos.storm import Report, a_storm

_ROUND_S = 240.0
_databases = click.option("--database", "databases", multiple=True, type=click.Choice(BOTH), default=BOTH)


@click.group()
def main() -> None:
    """Break a running service on purpose and check that nothing is lost."""
    structlog.configure(processors=[structlog.processors.TimeStamper("%H:%M:%S"), structlog.dev.ConsoleRenderer()])


@main.command()
@click.option("--minutes", type=float, default=50.0, show_default=True, help="Of all databases together.")
@click.option("--seed", type=int, help="Chosen at random and printed when left out.")
@_databases
@click.option("--fault", "faults", multiple=True, type=click.Choice(sorted(FAULTS)), help="Only these; all by default.")
@click.option("--record/--no-record", default=False, help="Add the figures to docs/guarantees.md.")
def storm(
    minutes: float, seed: int | None, databases: Sequence[Database], faults: Sequence[str], *, record: bool
) -> None:
    """Let faults strike at random; exit 1 if a promise was broken."""
    seed = secrets.randbelow(2**31) if seed is None else seed
    reports = [_storm(one, minutes / len(databases), seed, faults, record=record) for one in databases]
    sys.exit(any(report.violations for report in reports))


def _storm(database: Database, minutes: float, seed: int, faults: Sequence[str], *, record: bool) -> Report:
    click.echo(f"{database}: {minutes:g} minutes with seed {seed}")
    started_at = time.monotonic()
    report = Report(database, seed)
    try:
        with tempfile.TemporaryDirectory(prefix="ganymede-chaos-", ignore_cleanup_errors=True) as home:
            _run_rounds(report, Path(home), faults, ends_at=started_at + minutes * 60)
    finally:  # an hour of figures is not lost to an error of the last minute
        _print(report)
        if record:
            add_report(report, revision=_revision(), minutes=(time.monotonic() - started_at) / 60)
    return report


def _run_rounds(report: Report, home: Path, faults: Sequence[str], *, ends_at: float) -> None:
    with a_storm(home, report, faults=faults) as running:
        while (left_s := ends_at - time.monotonic()) > 0:
            running.run_round(min(_ROUND_S, left_s))


def _print(report: Report) -> None:
    click.echo(
        f"\n{report.database}, seed {report.seed}: {len(report.trials)} faults, {report.jobs} jobs in {report.attempts}"
        f" attempts, {report.answers} answers, {report.ledger_entries} writes in the ledger,"
        f" {len(report.violations)} violations"
    )
    click.echo("fault, times, seconds (median / 95 % / longest) until noticed and until training again:")
    for line in [*summary(report.trials), *report.violations]:
        click.echo(line)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(scenarios.REGISTRY)))
@click.option("--minutes", type=float, default=load.PROMISED.seconds / 60, show_default=True, help="Of load alone.")
@_databases
def scenario(names: Sequence[str], databases: Sequence[Database], minutes: float) -> None:
    """Run scenarios with the constants that the service really has; exit 1 if a promise was broken."""
    crowd = replace(load.PROMISED, seconds=minutes * 60)
    registry: dict[str, scenarios.Scenario] = {**scenarios.REGISTRY, "load": partial(load.run, crowd=crowd)}
    broken = False
    for name in names or registry:
        for database in databases:
            with tempfile.TemporaryDirectory(prefix="ganymede-chaos-", ignore_cleanup_errors=True) as home:
                findings = registry[name](database, Path(home))
            for line in [*findings.lines, *findings.violations]:
                click.echo(f"{name}, {database}: {line}")
            broken = broken or bool(findings.violations)
    sys.exit(broken)


def _revision() -> str:
    git = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )
    return git.stdout.strip()


if __name__ == "__main__":
    main()
