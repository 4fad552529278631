"""The Dirac-GAN has a closed form: the real losses, penalties, loops and optimiser must follow it."""

from math import hypot

import pytest
from small_training import dirac_training, small_spec

STEP_SIZE = 0.2
FINAL_RADII = {
    ("saturating", "fused"): (2.866313269, 6.517648907e-4, 6.970219519e-12),
    ("saturating", "original"): (1.350634998, 1.331038176e-4, 1.021450655e-9),
    ("non_saturating", "fused"): (0.6391951157, 5.361508586e-4, 2.103061888e-12),
    ("non_saturating", "original"): (0.3448942510, 1.045650303e-4, 5.615856987e-10),
}
FINAL_RADII |= {(loss, "reuse"): radii for (loss, variant), radii in FINAL_RADII.items() if variant == "original"}


@pytest.mark.parametrize(("column", "gamma"), [(0, 0.0), (1, 0.3), (2, 1.0)])
@pytest.mark.parametrize(("loss", "variant"), FINAL_RADII)
def test_300_steps_end_at_the_radius_of_the_closed_form(loss: str, variant: str, column: int, gamma: float) -> None:
    plain = {"name": "sgd", "lr": STEP_SIZE}
    spec = small_spec(
        objective={"loss": loss, "r1": gamma},
        loop={"variant": variant},
        optimizer={"generator": plain, "discriminator": plain},
    )
    training = dirac_training(spec)

    for _ in range(300):
        training.step()

    radius = hypot(training.discriminator.network.psi.item(), training.generator.network.theta.item())
    assert radius == pytest.approx(FINAL_RADII[loss, variant][column], rel=1e-6)
