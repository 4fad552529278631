"""The maps of networks that halve a picture again and again, and how many channels each has."""

from service.spec.facts import DatasetFacts
from service.spec.sizes.dcgan import convolution_channels, convolution_levels, convolution_sides


def pyramid_sides(facts: DatasetFacts) -> list[tuple[int, int]]:
    """List the sides of the maps, the picture's own first."""
    _, height, width = facts.shape
    levels = convolution_levels(height, width)
    return list(zip(convolution_sides(height, levels), convolution_sides(width, levels), strict=True))


def pyramid_channels(base: int, facts: DatasetFacts) -> list[int]:
    """List the channels of the maps: the base for the largest two, then doubled up to eight times the base."""
    return [base, *convolution_channels(base, len(pyramid_sides(facts)) - 1)]


def pyramid_units(base: int, facts: DatasetFacts) -> list[int]:
    """List the numbers of each map."""
    maps = zip(pyramid_channels(base, facts), pyramid_sides(facts), strict=True)
    return [channels * height * width for channels, (height, width) in maps]
