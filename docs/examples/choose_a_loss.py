"""Train the same networks on the same data with one loss after the other, and rank them.

python docs/examples/choose_a_loss.py ring --metric reverse_kl --seeds 1 2 3
"""

import argparse
from collections import defaultdict
from statistics import median

from ganymede.client import Client

parser = argparse.ArgumentParser()
parser.add_argument("dataset")
parser.add_argument("--metric")
parser.add_argument("--seeds", type=int, nargs="+", default=[1])
parser.add_argument("--steps", type=int)
asked = parser.parse_args()

spec = {"dataset": asked.dataset, "loop": {"max_steps": asked.steps} if asked.steps else {}}
with Client() as client:
    losses = [objective["name"] for objective in client.catalog()["objectives"]]
    sweep = client.sweeps.create(spec, grid={"objective.loss": losses, "seed": asked.seeds}, metric=asked.metric).wait()

board, reached = sweep.leaderboard, defaultdict(list)
for place in board["data"]:
    reached[place["parameters"]["objective.loss"]].append(place["value"])
best_first = sorted(reached, key=lambda loss: median(reached[loss]), reverse=board["goal"] == "higher")
print(f"{asked.dataset}: {board['metric']}, {board['goal']} is better; median and each seed")
for loss in best_first:
    print(f"{loss:22}{median(reached[loss]):.4g}   {'  '.join(f'{value:.4g}' for value in sorted(reached[loss]))}")
