"""Train a generator, follow it, read one curve, keep what it makes.

python docs/examples/first_job.py [STEPS]
"""

import sys

from ganymede.client import Client

spec = {"dataset": "digits", "seed": 7}
if len(sys.argv) > 1:
    spec["loop"] = {"max_steps": int(sys.argv[1])}

with Client() as client:  # GANYMEDE_URL, or http://127.0.0.1:8000
    job = client.jobs.create(**spec)
    for message in job.watch():
        if message["event"] in {"status", "sample", "diagnosis"}:
            print(f"step {job.step:6,}  {message['event']:9}  {message['data'].get('message', '')}")

    history = job.losses("d_loss", "d_real", "d_fake", "total_loss").to_numpy()
    tenth = max(1, len(history["step"]) // 10)
    for first in range(0, len(history["step"]), tenth):
        means = (f"{name} {history[name][first : first + tenth].mean():.3f}" for name in ("d_loss", "d_real", "d_fake"))
        print(f"steps from {history['step'][first]:6,}:", "  ".join(means))

    job.download("losses.svg", "losses.svg")
    job.sample(n=64, seed=1, format="png").download("digits.png")
    threes = job.sample(n=10, seed=1, classes=[3]).to_numpy()["samples"]
    print("ten threes as numbers:", threes.shape, f"from {threes.min():g} to {threes.max():g}")
