"""`python -m benchmarks.speed`: measure the rows one after the other, print each and write docs/performance.md."""

import sys

import click

from benchmarks.speed.bars import BARS
from benchmarks.speed.page import line_of, write_page
from benchmarks.speed.record import add_row, read_rows
from benchmarks.speed.rows import measure_in_fresh_process

_IDS = [bar.id for bar in BARS]


@click.command()
@click.option("--rows", help="Their ids, with spaces between; all when left out, of the short form the quick ones.")
@click.option("--short", is_flag=True, help="Fewer and shorter rounds, no peers; nothing is recorded.")
@click.option("--page", is_flag=True, help="Measure nothing, write the page from the record.")
def main(rows: str | None, *, short: bool, page: bool) -> None:
    """Print a line for each row: its id, what it is, figures, bars, spreads, and whether the bar is met."""
    chosen = [bar.id for bar in BARS if bar.is_quick or not short] if rows is None else rows.split()
    if unknown := set(chosen) - set(_IDS):
        raise click.BadParameter(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(_IDS)}")
    failed = False
    for bar in [] if page else [bar for bar in BARS if bar.id in chosen]:
        row = measure_in_fresh_process(bar, short=short)
        failed = failed or not (row.figures or row.is_absent)
        click.echo(line_of(row))
        if not short:
            write_page(add_row(row))
    if page:
        write_page(read_rows())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
