"""The two networks and the average of one of them, as a client posts them."""

from typing import Literal

from pydantic import Field

from service.spec.parts.schedules import Schedule
from service.spec.parts.strict import Strict


class EmaSpec(Strict):
    """The exponential moving average of the generator, from which samples are taken."""

    half_life_samples: int = Field(
        20_000, ge=0, le=10**9, description="Real samples after which a weight's share in the average halves; 0 is off."
    )
    ramp: float = Field(
        0.1, ge=0, le=1, description="Upper bound of the half-life as a fraction of the samples seen so far; 0 is none."
    )
    schedule: Schedule = Field(Schedule(), description="Of the half-life.")


class NetworkSpec(Strict):
    """Size of one network."""

    width: int = Field(128, ge=4, le=8192, description="Units of a hidden layer, or channels of the largest map.")
    depth: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Hidden layers of an mlp, blocks of an r3 at each size; else it follows from the data.",
    )
    activation: Literal["silu", "leaky_relu"] = Field("leaky_relu", description="Between the layers.")


class DiscriminatorSpec(NetworkSpec):
    """Size of the discriminator, and what its layers are held to and shown together."""

    spectral_norm: bool = Field(
        False, description="Divide each layer's weights by their largest singular value; a dcgan's D is not normalised."
    )
    octaves: int = Field(
        0,
        ge=0,
        le=12,
        description="Octaves of sines and cosines of each coordinate that an mlp reads beside it, for fine structure.",
    )
    minibatch_std: int | None = Field(
        None,
        ge=2,
        le=1024,
        description="Samples in a group whose spread D is told beside features; null is none.",
    )
    packing: int = Field(
        1, ge=1, le=64, description="Samples of one kind that D sees together and gives one score; 1 is each by itself."
    )


class ModelSpec(Strict):
    """The two networks."""

    architecture: str = Field("auto", max_length=32, description="Name from /catalog; auto follows the data.")
    latent_dim: int = Field(64, ge=1, le=1024, description="Normal latent variables.")
    latent_codes: int = Field(
        0,
        ge=0,
        le=4096,
        description="Entries of a learnt codebook drawn uniformly beside the normal latents; 0 is none.",
    )
    conditional: bool = Field(False, description="Feed class labels to both networks.")
    generator: NetworkSpec = NetworkSpec()
    discriminator: DiscriminatorSpec = DiscriminatorSpec()
    ema: EmaSpec = EmaSpec()
