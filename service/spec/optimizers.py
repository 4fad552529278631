"""Optimisers by name, for the catalogue and the check of a spec. The torch half is in worker.gan.optimizers."""

OPTIMIZERS: dict[str, str] = {
    "adam": "Adam with bias correction (Kingma and Ba 2015); betas and eps apply.",
    "sgd": "Plain gradient descent; betas and eps are not used.",
}
