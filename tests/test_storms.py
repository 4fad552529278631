"""A short storm on each database: faults of every kind strike a real installation, and no promise breaks."""

import random
from pathlib import Path

import pytest

from chaos.faults import BOTH
from chaos.stack import Database
from chaos.storm import Report, a_storm

STORM_S = 30.0
FEWEST_FAULTS = 6


@pytest.mark.slow
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("database", BOTH)
def test_no_promise_breaks_in_a_storm(database: Database, tmp_path: Path) -> None:
    report = Report(database, seed=random.randrange(2**31))

    with a_storm(tmp_path, report) as storm:
        while len(report.trials) < FEWEST_FAULTS:  # a busy machine takes most of a round to start the web again
            storm.run_round(STORM_S)

    assert report.violations == [], f"make chaos SEED={report.seed} strikes alike"
