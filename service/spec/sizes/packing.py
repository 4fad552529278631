"""What a discriminator of packs reads: the facts and the size that packing makes of those of single samples."""

from dataclasses import replace
from math import ceil

from service.spec.facts import DatasetFacts, NetworkSize


def packed_facts(facts: DatasetFacts, count: int) -> DatasetFacts:
    """Return the facts of packs: samples side by side in their channels or features, labels apart for each place."""
    channels, *rest = facts.shape
    return replace(facts, shape=(count * channels, *rest), labels=facts.labels * count)


def shared_size(size: NetworkSize, count: int) -> NetworkSize:
    """Return the size of a network that reads `count` samples at once, its activations as the share of one."""
    return replace(size, activations_per_sample=ceil(size.activations_per_sample / count))
