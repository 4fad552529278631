"""The Dirac-GAN has a closed form: the real losses, penalties, loops and optimiser must follow it."""

import pytest

from benchmarks.quality.closed_forms import FINAL_RADII, GAMMAS, dirac_spec, final_radius


@pytest.mark.parametrize(("column", "gamma"), list(enumerate(GAMMAS)))
@pytest.mark.parametrize(("loss", "variant"), FINAL_RADII)
def test_300_steps_end_at_the_radius_of_the_closed_form(loss: str, variant: str, column: int, gamma: float) -> None:
    radius = final_radius(dirac_spec(loss, variant, gamma))

    assert radius == pytest.approx(FINAL_RADII[loss, variant][column], rel=1e-6)
