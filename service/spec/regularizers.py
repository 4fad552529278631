"""What keeps the players in check, by its key in a spec. The torch half is in worker.gan.penalties and its rooms."""

from dataclasses import dataclass

from service.spec.parts.schedules import ScheduledValue

PENALTIES = ("r1", "r2", "gradient_penalty", "dragan", "lecam", "reconstruction")
SCHEDULED = (*PENALTIES, "instance_noise", "top_k")
"""The keys of an objective that take a number or a schedule."""


@dataclass(frozen=True)
class RegularizerFacts:
    """A regulariser as the spec sees it: the path of its key, what it does, its formula, where it comes from."""

    name: str
    description: str
    formula: str
    source: str


def highest(weight: float | ScheduledValue) -> float:
    """Return the greatest height that a value reaches: schedules only fall, after their warm-up."""
    return weight.initial if isinstance(weight, ScheduledValue) else weight


REGULARIZERS: dict[str, RegularizerFacts] = {
    facts.name: facts
    for facts in (
        RegularizerFacts(
            "objective.label_smoothing",
            "Reals carry a label below 1, so that D is never quite sure.",
            "y = 1 - label_smoothing for reals in the discriminator's loss",
            "Salimans et al. 2016, section 3.4",
        ),
        RegularizerFacts(
            "objective.r1",
            "No slope of D on reals: the game comes to rest where the data is matched.",
            "r1/2 E |grad_x s(x)|^2",
            "Mescheder et al. 2018, equation 9",
        ),
        RegularizerFacts(
            "objective.r2",
            "No slope of D on generated samples.",
            "r2/2 E |grad_x s(G(z))|^2",
            "Mescheder et al. 2018, equation 10",
        ),
        RegularizerFacts(
            "objective.gradient_penalty",
            "Slope 1 on the lines between reals and generated samples, as the Wasserstein distance wants; 10 is usual.",
            "gradient_penalty E (|grad s(u x + (1 - u) G(z))| - 1)^2, u uniform",
            "Gulrajani et al. 2017, equation 3",
        ),
        RegularizerFacts(
            "objective.dragan",
            "Slope 1 in the neighbourhood of reals; 10 is usual.",
            "dragan E (|grad s(x + n)| - 1)^2, n normal of half the batch's deviation",
            "Kodali et al. 2017",
        ),
        RegularizerFacts(
            "objective.lecam",
            "Each kind's scores are held near the other's moving average; for little data. 0.01 to 0.3 is usual.",
            "lecam (E (s(x) - a_f)^2 + E (s(G(z)) - a_r)^2), averages of decay 0.99",
            "Tseng et al. 2021",
        ),
        RegularizerFacts(
            "objective.reconstruction",
            "D must keep what it takes to draw a real again, so that it cannot learn few pictures by one detail each.",
            "reconstruction (E |d(f(x)) - x'|^2 + E |e(f(x)) - x''|^2), f features, x' all of x made small, x'' a part",
            "Liu et al. 2021, section 3.2",
        ),
        RegularizerFacts(
            "objective.instance_noise",
            "Normal noise on all that D is shown, usually faded out by a schedule.",
            "s(x + instance_noise n), s(G(z) + instance_noise n), n standard normal",
            "Sonderby et al. 2017",
        ),
        RegularizerFacts(
            "objective.augment",
            "For few pictures: D sees both kinds through random changes, always or as often as is needed.",
            "s(T(x)), s(T(G(z))), T each change with probability p; adaptive: p rises while E sign s(x) > target",
            "Zhao et al. 2020 (DiffAugment); Karras et al. 2020 (ADA)",
        ),
        RegularizerFacts(
            "objective.top_k",
            "The generator learns only from the fraction of its samples that D scores highest.",
            "the generator's loss over the ceil(top_k m) samples of greatest s(G(z))",
            "Sinha et al. 2020",
        ),
        RegularizerFacts(
            "model.discriminator.spectral_norm",
            "No layer of D stretches anything by more than 1; a dcgan's then does without batch normalisation.",
            "W / sigma(W) for the weights of each layer, sigma the largest singular value, by power iteration",
            "Miyato et al. 2018, equations 8 to 12",
        ),
        RegularizerFacts(
            "model.discriminator.minibatch_std",
            "D is told how varied the samples of a group are, so that samples that are all alike give themselves away.",
            "the features of each sample, and the mean of their deviations within its group of minibatch_std",
            "Karras et al. 2018, section 3",
        ),
        RegularizerFacts(
            "model.discriminator.packing",
            "D sees several samples of one kind at once, so that too many of a mode beside each other stand out.",
            "s(x_1, ..., x_packing), s(G(z_1), ..., G(z_packing)); with labels, each place has directions of its own",
            "Lin et al. 2018, section 2",
        ),
        RegularizerFacts(
            "optimizer.generator.clip_gradient",
            "The generator's gradient is shortened to this Euclidean norm.",
            "g min(1, clip_gradient / |g|)",
            "Pascanu et al. 2013, Algorithm 1",
        ),
        RegularizerFacts(
            "optimizer.discriminator.clip_gradient",
            "The discriminator's gradient is shortened to this Euclidean norm.",
            "g min(1, clip_gradient / |g|)",
            "Pascanu et al. 2013, Algorithm 1",
        ),
        RegularizerFacts(
            "optimizer.discriminator.clip_weights",
            "The discriminator's weights are cut to an interval after each update; 0.01 in the first Wasserstein GAN.",
            "w = max(-clip_weights, min(w, clip_weights))",
            "Arjovsky et al. 2017, Algorithm 1",
        ),
    )
}
