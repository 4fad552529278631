"""What a job's metrics are compared with: real data and generators that need no training, measured once."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from worker.gan.data.training_data import TrainingData
from worker.gan.metrics.cache import Cache
from worker.gan.metrics.yardstick import Metrics, Yardstick


@dataclass(frozen=True)
class Comparison:
    """The metrics of training rows, as if they had been made, and of each baseline by name."""

    real: Metrics
    baselines: dict[str, Metrics]


def compare(yardstick: Yardstick, data: TrainingData, cache: Cache, key: str) -> Comparison:
    """Measure real data and baselines, or take what was measured of the same split before."""
    kept = cache.load(f"comparison-{key}")
    if kept is not None:
        return Comparison(**json.loads(kept[0].tobytes()))
    comparison = Comparison(yardstick.of_training_rows(), yardstick.of_baselines(data))
    cache.keep(f"comparison-{key}", [np.frombuffer(json.dumps(asdict(comparison)).encode(), np.uint8)])
    return comparison
