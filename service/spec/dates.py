"""Dates of a column as numbers: days since 1970-01-01, or seconds where the format has a time."""

from datetime import UTC, datetime, timedelta

from service.spec.facts import DAY_FORMAT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number_of_date(moment: datetime, date_format: str) -> float:
    """Return the number of a moment in UTC."""
    return (moment - EPOCH) / _unit_of(date_format)


def write_date(number: float, date_format: str) -> str:
    """Return the date of a number as the CSV has it; raises OverflowError beyond the years 1 to 9999."""
    moment = EPOCH + float(number) * _unit_of(date_format)
    return moment.strftime(date_format.replace("%Y", f"{moment.year:04d}"))  # C libraries differ before 1000


def _unit_of(date_format: str) -> timedelta:
    return timedelta(days=1) if date_format == DAY_FORMAT else timedelta(seconds=1)
