"""Ways of training that whole steps are compared with eager ones in."""

from typing import Any

import numpy as np

from worker.gan.training import Training

FALLING: dict[str, Any] = {
    "schedule": {"name": "cosine", "warmup_steps": 2},
    "betas": [{"name": "linear", "initial": 0.5, "final": 0.0}, {"initial": 0.9, "final": 0.99}],
}
BOTH_FALL = {"generator": FALLING, "discriminator": FALLING}

WAYS: dict[str, dict[str, Any]] = {
    "original": {},
    "reuse": {"loop": {"variant": "reuse"}},
    "fused with one backward pass": {"loop": {"variant": "fused"}, "objective": {"loss": "saturating"}},
    "fused with two": {"loop": {"variant": "fused"}, "objective": {"loss": "non_saturating", "r2": 0.5}},
    "penalties that fall": {"objective": {"r1": {"name": "linear", "initial": 1.0}, "r2": 0.5}},
    "several updates": {"loop": {"discriminator_steps": 3}, "optimizer": BOTH_FALL},
    "labels": {"dataset": "digits", "model": {"conditional": True}},
    "codes": {"model": {"latent_codes": 8}},
    "packs": {"model": {"discriminator": {"packing": 2}}},
    "groups and octaves": {"model": {"discriminator": {"minibatch_std": 4, "octaves": 3}}},
    "weight decay and clipping": {
        "optimizer": {
            "generator": {"name": "adamw", "clip_gradient": 0.01},
            "discriminator": {"name": "adamw", "clip_weights": 0.1},
        }
    },
    "a frozen discriminator": {"optimizer": {"discriminator": {"lr": 0}}},
    "the best of the fakes": {"objective": {"top_k": 0.5}},
    "relativistic, without an average": {
        "objective": {"loss": "rpgan"},
        "model": {"ema": {"half_life_samples": 0}},
    },
}


def take_steps(training: Training, count: int) -> np.ndarray:
    """Take steps and return what they recorded (count, columns), without the clock."""
    for _ in range(count):
        training.step()
    return training.recorder.take()[1][:, :-1]
