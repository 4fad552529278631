"""Upload a table, train on it, draw rows that meet a condition, and compare them with the real ones.

python docs/examples/own_table.py [STEPS]
"""

import csv
import random
import sys
from pathlib import Path
from statistics import mean

from ganymede.client import Client

REAL, MADE = Path("members.csv"), Path("made.csv")


def write_members() -> None:
    """Write 500 rows in which income follows age."""
    dice = random.Random(1)
    with REAL.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["age", "city", "income"])
        for _ in range(500):
            age = dice.randint(18, 80)
            rows.writerow([age, dice.choice(["Bonn", "Ulm"]), round(1500 + 40 * age + dice.gauss(0, 300), 2)])


def mean_income(table: Path) -> float:
    """Return the mean income of those in Ulm who are 40 to 50."""
    with table.open(newline="") as file:
        asked = [row for row in csv.DictReader(file) if row["city"] == "Ulm" and 40 <= int(row["age"]) <= 50]
    return mean(float(row["income"]) for row in asked)


write_members()
steps = {"loop": {"max_steps": int(sys.argv[1])}} if len(sys.argv) > 1 else {}
with Client() as client:  # GANYMEDE_URL, or http://127.0.0.1:8000
    members = client.datasets.upload(REAL).wait()
    print(members.id, members.status, members.data["warnings"])
    job = client.jobs.create(dataset=members.id, **steps).wait()
    print(job)
    where = {"city": "Ulm", "age": {"minimum": 40, "maximum": 50}}
    job.sample(n=200, seed=1, where=where, format="csv").download(MADE)

print(f"mean income in Ulm from 40 to 50: real {mean_income(REAL):.0f}, made {mean_income(MADE):.0f}")
