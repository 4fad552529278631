"""A made-up survey with every kind of column, drawn from a law that no simple model has: curves, spikes, gaps."""

from datetime import date

import numpy as np

from service.spec.datasets import NoParams
from service.spec.facts import DatasetFacts, TableColumn
from worker.gan.data.mixed_table import labels_in
from worker.gan.data.points import data_random
from worker.gan.data.training_data import Rows

EPOCH = date(1970, 1, 1)
REGION_SHARES = (0.27, 0.21, 0.16, 0.12, 0.10, 0.07, 0.05, 0.02)
REGION_KM = np.array([4.0, 6.0, 9.0, 14.0, 11.0, 18.0, 25.0, 40.0])  # of a middling way to work
REGION_RENT = np.array([0.8, 0.5, 0.3, 0.1, 0.0, -0.1, -0.3, -0.5])
PERMANENT, FIXED_TERM, SELF_EMPLOYED = range(3)


def open_survey(facts: DatasetFacts, _: NoParams) -> Rows:
    """Draw the survey: rows (N, 11), and whether the person owns a home."""
    columns = dict(zip((column.name for column in facts.table), draw_columns(facts), strict=True))
    rows = np.stack([within(column, columns[column.name]) for column in facts.table], axis=1)
    label = next(column for column in facts.table if column.name == facts.label_column)
    return Rows(rows, labels_in(label, columns[label.name]))


def draw_columns(facts: DatasetFacts) -> tuple[np.ndarray, ...]:
    """Draw the columns one from another, in the order of the table."""
    random, count = data_random(), facts.count
    age = np.where(random.random(count) < 0.7, random.normal(38, 11, count), random.normal(66, 8, count))
    region = random.choice(len(REGION_SHARES), count, p=REGION_SHARES)
    schooling = np.digitize(
        random.normal(size=count) - 0.02 * (age - 45) + 0.5 * REGION_RENT[region], [-1.2, 0, 0.8, 1.6]
    )
    works = random.random(count) < 1 / (1 + np.exp((age - 64) / 2.5))
    contract = contracts(random, age, schooling)
    hours = np.where(works, hours_of(random, contract), 0)
    pay = 9.4 + 0.22 * schooling - ((age - 50) / 35) ** 2 + 0.35 * REGION_RENT[region] + random.normal(0, 0.35, count)
    income = np.exp(pay) * np.where(works, 0.4 + hours / 40, 0.7)
    wealthy = random.random(count) < 1 / (1 + np.exp(2.2 - 0.03 * age - 0.3 * schooling))
    savings = np.where(wealthy, income * np.exp(random.normal(-0.5 + 0.02 * age, 1.0, count)), 0.0)
    commute = np.where(works, REGION_KM[region] * random.gamma(1.6, 0.6, count), np.nan)
    content = random.random(count) < 1 / (1 + np.exp(0.9 - (hours == 0) + 0.04 * np.nan_to_num(commute)))
    mood = np.where(content, random.normal(7.6, 0.7, count), random.normal(3.8, 1.1, count))
    since = (date(2024, 6, 30) - EPOCH).days - 365 * np.maximum(age - 20, 0.5) * random.beta(1.1, 2.2, count)
    joined = np.where(random.random(count) < 0.08, np.nan, since)
    owner = random.random(count) < 1 / (1 + np.exp(3.4 - 0.05 * age - 0.25 * np.log1p(savings) + REGION_RENT[region]))
    return (
        age, region, schooling, np.where(works, contract, np.nan), hours,
        income, savings, commute, mood, joined, owner.astype(float),
    )  # fmt: skip


def contracts(random: np.random.Generator, age: np.ndarray, schooling: np.ndarray) -> np.ndarray:
    """Draw how people are employed: the young for a term, the old and schooled more often by themselves."""
    free = random.random(len(age)) < 1 / (1 + np.exp(4.2 - 0.03 * age - 0.3 * schooling))
    term = random.random(len(age)) < 1 / (1 + np.exp((age - 27) / 4))
    return np.where(free, SELF_EMPLOYED, np.where(term, FIXED_TERM, PERMANENT)).astype(float)


def hours_of(random: np.random.Generator, contract: np.ndarray) -> np.ndarray:
    """Draw hours a week: mostly one of a few agreed figures, anything for those who work for themselves."""
    agreed = random.choice([40.0, 38.0, 30.0, 20.0], len(contract), p=[0.62, 0.14, 0.1, 0.14])
    return np.where(contract == SELF_EMPLOYED, random.normal(46, 11, len(contract)), agreed).clip(4, 80)


def within(column: TableColumn, values: np.ndarray) -> np.ndarray:
    """Cut a column to its range and round it to its decimals."""
    cut: np.ndarray = values.clip(column.minimum, column.maximum).round(column.decimals or 0)
    return cut
