"""The bars of speed by id: what each row measures, how, and what its figures have to be within."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.speed.figures import Figure

Verdict = Literal["met", "missed", "absent"]


@dataclass(frozen=True)
class Rule:
    """What one figure of a row has to be within; name is empty where it is the only one."""

    name: str = ""
    least: float | None = None
    most: float | None = None
    unit: str = "x"

    def holds(self, value: float) -> bool:
        """Tell whether a value is within the bounds."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def bound(self) -> str:
        """The bounds in words."""
        bounds = [f"{sign} {bound:,g}{self.unit}" for sign, bound in ((">=", self.least), ("<=", self.most)) if bound]
        return " and ".join(bounds)


@dataclass(frozen=True)
class Bar:
    """A row: its figures are held to the rules. minutes are those after which it is given up.

    A row that names bf16 is measured in the fastest precision there is, and says which that was.
    """

    id: str
    what: str
    rules: Sequence[Rule]
    how: str
    minutes: float = 4.0
    is_quick: bool = True
    """Whether the short form measures it."""

    def verdict(self, figures: Mapping[str, Figure]) -> Verdict:
        """Judge a row; without figures its peer was not there."""
        if not figures:
            return "absent"
        return "met" if all(rule.holds(figures[rule.name].value) for rule in self.rules) else "missed"


BARS = (
    Bar(
        "P1",
        "ring, two-pass, float32, 1 thread, all numbers recorded, against the baseline",
        (Rule(least=2.5),),
        "worker.gan.training with its recorder, the step compiled; loop `reuse`, as the baseline's.",
    ),
    Bar("P2", "ring, fused, float32, 1 thread, against the baseline", (Rule(least=3.0),), "As P1, loop `fused`."),
    Bar(
        "P3",
        "ring and digits, fused, float32, 1 thread, against the baseline",
        (Rule("ring", least=4.5), Rule("digits", least=4.5)),
        "As P2.",
    ),
    Bar(
        "P4",
        "ring and digits, fused, float32, 1 thread, against Lightning's Trainer with everything off",
        (Rule("ring", least=5.5), Rule("digits", least=5.5)),
        "Lightning takes the baseline's step by manual optimisation, without the prints, in a process of its own; "
        "the processes take turns.",
        is_quick=False,
    ),
    Bar(
        "P5",
        "ring64, fused, cohorts of 4 jobs on all cores, job-steps per core, against the baseline alone",
        (Rule(least=8),),
        "A process of one thread with a cohort for each core. The baseline has one thread and the machine to itself.",
        is_quick=False,
    ),
    Bar(
        "P6",
        "dcgan32, {fastest}, 2 threads, against the baseline",
        (Rule("two-pass", least=2.6), Rule("fused", least=3.2)),
        "worker.gan.training with its recorder, step by step, channels last; loops `reuse` and `fused`.",
        minutes=6,
    ),
    Bar(
        "P7",
        "dcgan64, {fastest}, 2 threads, against the baseline",
        (Rule("two-pass", least=2.6), Rule("fused", least=3.2), Rule("float32 two-pass", least=1.5)),
        "As P6.",
        minutes=6,
        is_quick=False,
    ),
    Bar(
        "P8",
        "the whole service around the loop against the bare loop, more time for a step",
        (Rule("dcgan32", most=1, unit=" %"), Rule("ring", most=2, unit=" %")),
        "History, beat, progress, diagnosis, a checkpoint each 60 s and samples, on SQLite, against the same training "
        "without; two processes from one fork take turns, one held still while the other runs. The figure is the "
        "ratio of all their times.",
        minutes=12,
        is_quick=False,
    ),
    Bar(
        "P9",
        "4 ring jobs posted at once to a service of 2 slots against 4 baselines with library defaults, steps a second",
        (Rule(least=10),),
        "A real `ganymede up` that has compiled such steps before, against four scripts started at once; each in its "
        "steady state, one after the other and back again.",
        minutes=6,
        is_quick=False,
    ),
    Bar(
        "G1",
        "ring and digits on a GPU, fused, float32, against the baseline on it",
        (Rule("ring", least=5), Rule("digits", least=5)),
        "Steps are captured; blocks end when the GPU is done. The baseline is handed its batches by the host.",
    ),
    Bar(
        "G2",
        "dcgan64 on a GPU, fused, against the baseline on it",
        (Rule("bfloat16", least=2), Rule("tf32", least=2)),
        "As G1. The baseline's convolutions round to TF32, which is torch's default.",
    ),
    Bar(
        "S1",
        "losses stored, points a second, against MLflow's log-batch",
        (Rule(least=1_000),),
        "8 columns; ours in the transactions of full segments, MLflow's server on SQLite with 1,000 points a request, "
        "its most.",
        is_quick=False,
    ),
    Bar(
        "S2",
        "100,000 points read as JSON over HTTP against MLflow's get-history",
        (Rule(least=700),),
        "The whole answer received, not parsed.",
        minutes=6,
        is_quick=False,
    ),
    Bar(
        "S3",
        "overview of 1,000,000 steps, 2,000 points of 8 columns, against MLflow's interval calls on 12,500; "
        "the increment since step N, 1,000,000 steps over 10,000; the overview of 10,000,000 over that of 1,000,000",
        (Rule("overview", least=50), Rule("increment", most=1.2), Rule("overview of ten times as many", most=1.2)),
        "Over HTTP. MLflow's call is of one column, so there are eight. The increment is the last 100 steps.",
        minutes=7,
        is_quick=False,
    ),
    Bar(
        "S4",
        "bytes a step of 8 columns, MLflow's over ours",
        (Rule(least=75),),
        "By the size of the SQLite files: 1,000,000 steps of ours, 12,500 of MLflow's.",
        is_quick=False,
    ),
    Bar(
        "D1",
        "POST accepted to first training step, warm worker, against a fresh process",
        (Rule(least=30),),
        "By the clock of the service: until the training begins, and its first step. The process imports torch and "
        "takes one step of the baseline.",
    ),
    Bar(
        "D2",
        "64 samples on demand of a finished job, warm, over the bare forward pass and PNG",
        (Rule(most=3),),
        "Through HTTP, each with a seed of its own, against the same work in one process.",
    ),
    Bar(
        "E1",
        "a 50 MB checkpoint every 10 dcgan32 steps over none, step time",
        (Rule(most=1.01),),
        "700 latents make the state 50 MB. Saved as the trainer does.",
        minutes=6,
        is_quick=False,
    ),
    Bar(
        "T1",
        "table of 20,000 x 11 against ctgan, networks of the same size",
        (Rule("preparation", least=10), Rule("step", least=1.5)),
        "`survey`; two layers of 256 for both players, packs of 10, batch 500, 1 thread; each with its own objective.",
        minutes=8,
        is_quick=False,
    ),
)
