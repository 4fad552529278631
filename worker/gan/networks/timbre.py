"""Networks for sounds as few numbers (worker.gan.data.timbre), which are those of mlp for rows of a table."""

from dataclasses import replace

import torch

from service.spec.facts import DatasetFacts
from service.spec.parts.model import ModelSpec
from service.spec.sizes.timbre import timbre_facts
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.mlp import MlpDiscriminator, MlpGenerator


class TimbreGenerator(MlpGenerator):
    """Latents through hidden layers to the numbers (N, COMPONENTS) of a sound."""

    def __init__(self, model: ModelSpec, facts: DatasetFacts, random: torch.Generator) -> None:
        super().__init__(model, timbre_facts(facts), random)


class TimbreDiscriminator(MlpDiscriminator):
    """The numbers of a sound, or of a pack of them, through hidden layers to its logit."""

    def __init__(self, model: ModelSpec, data: TrainingData, random: torch.Generator) -> None:
        super().__init__(model, replace(data, facts=timbre_facts(data.facts)), random)
