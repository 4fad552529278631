"""Small steps run on one thread, large ones on all that a slot has."""

import pytest

from tests.building import a_spec
from worker.threads import threads_for

WIDE = {"generator": {"width": 1024}, "discriminator": {"width": 1024}}


@pytest.mark.parametrize("dataset", ["ring", "digits", "breast_cancer"])
def test_the_recipes_of_small_data_run_on_one_thread(dataset: str) -> None:
    assert threads_for(a_spec(dataset=dataset), 8) == 1


def test_wide_networks_share_their_work() -> None:
    assert threads_for(a_spec(dataset="digits", model=WIDE, loop={"batch_size": 256}), 8) == 8
