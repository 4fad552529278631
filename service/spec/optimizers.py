"""Optimisers by name, for the catalogue and the check of a spec. The torch half is in worker.gan.optimizers."""

OPTIMIZERS: dict[str, str] = {
    "adam": "Adam with bias correction (Kingma and Ba 2015); betas and eps apply.",
    "adamw": "Adam with weight_decay apart from the moments (Loshchilov and Hutter 2019, Algorithm 2).",
    "rmsprop": "Gradients over their running size (Tieleman and Hinton 2012); the second of betas and eps apply.",
    "sgd": "Plain gradient descent; betas and eps are not used.",
}
