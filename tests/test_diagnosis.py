"""The rules of the diagnosis: what raises each, what does not, and that looking changes nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_training import small_spec, small_training

from benchmarks.diagnosis import FREEZABLE, begin
from benchmarks.quality.dirac import dirac_training
from service.spec.columns import recorded_columns
from service.spec.health import RULES
from service.spec.job import HealthSpec, JobSpec
from service.spec.resolve import merge
from tests.building import a_spec
from worker.gan.data.training_data import Rows
from worker.gan.diagnosis.case import Case, Finding, Past
from worker.gan.diagnosis.checkup import CHECK_EVERY_STEPS, Checkup, Examiner
from worker.gan.diagnosis.doctor import Change, Doctor
from worker.gan.diagnosis.rules import CHECKUPS, JUDGES, WINDOW
from worker.gan.files import read_state, write_state
from worker.gan.state import TrainingState
from worker.gan.training import Training

WELL = {"diversity": 1.0, "coverage": 1.0, "distance": 0.01, "fooled": 0.4, "memory": None}
CALM = {
    "d_loss": 1.386,
    "g_loss": 0.693,
    "d_real": 0.5,
    "d_fake": 0.5,
    "g_grad_norm": 0.1,
}


def checkup(step: int = WINDOW, **values: Any) -> Checkup:
    return Checkup(step=step, **{**WELL, **values})


def a_case(
    spec: JobSpec | None = None,
    checkups: tuple[Checkup, ...] = (checkup(), checkup()),
    *,
    is_raised: bool = False,
    past: Past | None = None,
    merits: dict[int, float] | None = None,
    **rows: Any,
) -> Case:
    """A training in balance, but for the columns given: a number, or an array over the window."""
    noise = 1 + 0.05 * np.random.Generator(np.random.PCG64(1)).standard_normal(WINDOW)
    columns = {name: np.broadcast_to(value, WINDOW) * noise for name, value in {**CALM, **rows}.items()}
    return Case(
        spec or small_spec(),
        WINDOW,
        columns,
        checkups,
        past or Past(1.0, 1.0),
        is_raised=is_raised,
        merits=merits or {},
    )


SPECS = {"saturation": {"objective": {"loss": "saturating"}}}
FALLING = np.linspace(1.0, 0.01, WINDOW)
WON = {"d_loss": 0.005, "d_real": 0.999, "d_fake": 0.002, "g_grad_norm": FALLING}
BURST = np.where(np.arange(WINDOW) >= WINDOW - 20, 500.0, 1.0)
SWING = np.sin(np.arange(WINDOW) / 8)
WIDER = np.linspace(0.05, 0.4, WINDOW)
MEMORIES = tuple(checkup(memory=gap) for gap in np.linspace(1.0, 6.0, CHECKUPS))
STALE = {step: 0.9 if step == 200 else 0.5 for step in range(20, 401, 20)}

SICK = {
    "saturation": a_case(small_spec(**SPECS["saturation"]), d_fake=0.004),
    "discriminator_wins": a_case(**WON),
    "discriminator_blind": a_case(checkups=(checkup(distance=0.4), checkup(distance=0.5))),
    "collapse": a_case(checkups=(checkup(diversity=0.03),)),
    "divergence": a_case(g_loss=BURST),
    "rotation": a_case(d_real=0.5 + WIDER * SWING),
    "memorisation": a_case(checkups=MEMORIES),
    "stale_quality": a_case(merits=STALE),
}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_raised_by_its_own_trouble_alone_and_by_no_calm_training(rule: str) -> None:
    case = SICK[rule]

    raised = [name for name, judge in JUDGES.items() if RULES[name].applies(case.spec) and judge(case) is not None]

    assert raised == [rule]
    assert JUDGES[rule](a_case(case.spec)) is None


@pytest.mark.parametrize(
    ("rule", "case"),
    [
        ("saturation", a_case(d_fake=0.02)),
        ("discriminator_wins", a_case(**WON | {"g_grad_norm": FALLING[::-1]})),
        ("discriminator_wins", a_case(**WON | {"d_fake": 0.1})),
        ("discriminator_blind", a_case(checkups=(checkup(distance=0.4), checkup(distance=0.05)))),
        ("discriminator_blind", a_case(d_real=0.6, checkups=(checkup(distance=0.4),) * 2)),
        ("collapse", a_case(checkups=(checkup(diversity=0.15),))),
        ("collapse", a_case(checkups=(checkup(step=100, diversity=0.01),), past=Past(0.05, 0.1))),
        ("collapse", a_case(checkups=(checkup(coverage=0.3), checkup(coverage=0.7)))),
        ("collapse", a_case(checkups=(checkup(fooled=0.55, distance=0.4),) * 2)),
        ("collapse", a_case(checkups=(checkup(fooled=0.95, distance=0.09),) * 2)),
        ("collapse", a_case(checkups=(checkup(), checkup(fooled=0.95, distance=0.4)))),
        (
            "collapse",
            a_case(checkups=(checkup(fooled=np.nan, distance=np.nan, coverage=np.nan, diversity=np.nan),) * 2),
        ),
        ("divergence", a_case(g_loss=np.where(np.arange(WINDOW) == WINDOW - 3, 1e5, 1.0))),
        ("divergence", a_case(g_loss=np.where(np.arange(WINDOW) > WINDOW - 20, 50.0, 1e-4))),
        ("divergence", a_case(small_spec(objective={"reduction": "sum"}), d_loss=8 * BURST / 20)),
        ("rotation", a_case(d_real=0.5 + WIDER[::-1] * SWING)),
        ("rotation", a_case(d_real=0.5 + 0.3 * SWING)),
        ("rotation", a_case(d_real=np.linspace(0.5, 0.9, WINDOW))),
        ("memorisation", a_case(checkups=MEMORIES[::-1])),
        ("memorisation", a_case(checkups=tuple(checkup(memory=0.1 * n) for n in range(CHECKUPS)))),
        ("stale_quality", a_case(merits={**STALE, 220: 0.9, 240: 0.95})),
        ("stale_quality", a_case(merits={step: 0.9 if step == 200 else 0.4 + step // 20 % 4 / 10 for step in STALE})),
        ("stale_quality", a_case(merits={40: 0.9, 80: 0.5, 160: 0.5, 240: 0.5, 320: 0.5})),
    ],
)
def test_no_rule_is_raised_by_what_only_looks_like_its_trouble(rule: str, case: Case) -> None:
    assert JUDGES[rule](case) is None


def test_modes_that_are_lost_raise_collapse_though_the_rest_is_spread_wide() -> None:
    finding = JUDGES["collapse"](a_case(checkups=(checkup(coverage=0.4), checkup(coverage=0.3))))

    assert finding is not None
    assert (finding.numbers["coverage"], finding.numbers["best_coverage"]) == (0.3, 1.0)


def test_samples_far_from_the_data_that_please_the_discriminator_better_raise_collapse() -> None:
    astray = (checkup(fooled=0.65, distance=0.12),) * 2
    half_way = (checkup(fooled=0.55, distance=0.08),) * 2

    assert JUDGES["collapse"](a_case(checkups=astray)) is not None
    assert JUDGES["collapse"](a_case(checkups=half_way)) is None
    assert JUDGES["collapse"](a_case(checkups=half_way, is_raised=True)) is not None


@pytest.mark.parametrize(
    ("rule", "rows"),
    [("saturation", {"d_fake": 0.015}), ("discriminator_wins", WON | {"d_fake": 0.1, "d_loss": 0.03})],
)
def test_a_rule_that_stands_raised_asks_for_more_before_it_is_cleared(rule: str, rows: dict[str, Any]) -> None:
    assert JUDGES[rule](a_case(**rows)) is None
    assert JUDGES[rule](a_case(**rows, is_raised=True)) is not None


@pytest.mark.parametrize(("fall", "least", "most"), [(0.0, 0.0, 0.05), (6.0, 0.7, 1.0)])
def test_quality_is_stale_where_it_falls_and_seldom_where_it_trembles(fall: float, least: float, most: float) -> None:
    random = np.random.Generator(np.random.PCG64(1))
    slope = -fall * np.linspace(-1 / 3, 1, 50).clip(0)

    raised = [is_ever_stale(slope + random.standard_normal(50)) for _ in range(100)]

    assert least <= np.mean(raised) <= most


def is_ever_stale(merits: np.ndarray) -> bool:
    """Judge at every measuring point of a training."""
    case = a_case(small_spec())
    known = dict(enumerate(merits.tolist(), 1))
    so_far = [{step: merit for step, merit in known.items() if step <= last} for last in known]
    return any(JUDGES["stale_quality"](replace(case, last_step=len(part), merits=part)) is not None for part in so_far)


def test_every_rule_has_a_judge_and_an_action() -> None:
    assert list(JUDGES) == list(RULES)
    assert list(HealthSpec.model_fields) == [f"on_{rule}" for rule in RULES]


def test_advice_names_keys_of_the_spec() -> None:
    known = small_spec().model_dump()

    for rule in RULES.values():
        words = [word.strip(",.;") for word in rule.advice.split() if "." in word.strip(",.;")]
        assert words, rule.name
        for word in words:
            value: Any = known
            for key in word.replace("*", "generator").split("."):
                assert key in value, word
                value = value[key]


def test_rules_without_their_columns_or_data_are_not_applicable() -> None:
    spec = small_spec(objective={"loss": "hinge"})

    states = {
        name: rule["state"]
        for name, rule in Doctor(spec, recorded_columns(spec), has_held_out=False).record()["rules"].items()
    }

    assert {name for name, state in states.items() if state == "healthy"} == {"collapse", "divergence"}
    assert set(states.values()) == {"healthy", "not_applicable"}


class Ward:
    """A training under a doctor, as the trainer has it."""

    def __init__(self, spec: JobSpec) -> None:
        self.training = small_training(spec)
        self.examiner = Examiner(self.training)
        self.doctor = Doctor(spec, self.training.recorder.columns, has_held_out=False)
        self.changes: list[Change] = []

    def train(self, steps: int) -> "Ward":
        for _ in range(steps):
            self.training.step()
            if self.training.step_number % CHECK_EVERY_STEPS == 0:
                self.look()
                self.changes += self.doctor.judge(self.examiner.examine(self.training), self.training.merits)
        return self

    def look(self) -> None:
        self.doctor.see(self.training.recorder.take()[1])

    @property
    def raised(self) -> list[str]:
        return [change.rule for change in self.changes if change.standing.state == "raised"]


def test_looking_changes_nothing_in_the_training() -> None:
    spec = small_spec(dataset="digits", model={"architecture": "dcgan", "conditional": True}, loop={"max_steps": 4})
    training = small_training(spec)
    training.step()
    before = write_state(training.state()), torch.random.get_rng_state()

    looks = [Examiner(training).examine(training) for _ in range(2)]

    assert write_state(training.state()) == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert looks[0] == looks[1]
    assert training.generator.network.training


def test_packs_are_compared_with_packs_and_too_few_of_them_with_nothing() -> None:
    packs = {"conditional": False, "discriminator": {"packing": 8, "minibatch_std": 2}}
    training = small_training(small_spec(dataset="digits", model=packs, loop={"batch_size": 16}))
    rows = training.data.encoding.backward(training.data.specimens(100))
    memories = []

    for count in (100, 8):
        training.data = replace(training.data, held_out=Rows(rows[:count], None))
        memories.append(Examiner(training).examine(training).memory)

    assert memories[0] is not None
    assert np.isfinite(memories[0])
    assert memories[1] is None


def test_reals_are_as_varied_as_reals_and_one_point_is_not() -> None:
    training = small_training(small_spec())
    examiner = Examiner(training)
    reals = training.data.specimens(128)

    training.draw = lambda *_: reals  # type: ignore[method-assign]
    at_best = examiner.examine(training)
    training.draw = lambda *_: reals[:1].expand(128, -1)  # type: ignore[method-assign]
    at_worst = examiner.examine(training)

    assert (at_best.diversity, at_best.coverage) == pytest.approx((1, 1))
    assert at_best.distance < 0.01
    assert at_worst.diversity == pytest.approx(0, abs=1e-6)
    assert at_worst.coverage < 0.2
    assert at_worst.distance > 0.3


def test_a_discriminator_is_fooled_by_samples_that_it_scores_above_reals() -> None:
    training = small_training(small_spec())
    examiner = Examiner(training)
    reals = training.data.specimens(128)

    training.score = lambda samples, _: samples.flatten(start_dim=1).mean(dim=1)  # type: ignore[method-assign]
    looks = []
    for shift in (-10.0, 0.0, 10.0):
        training.draw = lambda *_, by=shift: reals + by  # type: ignore[method-assign]
        looks.append(examiner.examine(training).fooled)

    assert looks == [0.0, pytest.approx(0.5, abs=0.1), 1.0]


def test_samples_that_follow_from_their_class_alone_have_no_diversity() -> None:
    training = small_training(small_spec(dataset="digits", model={"conditional": True}))
    examiner = Examiner(training)
    of_class = torch.stack([training.data.samples[training.data.labels == digit][0] for digit in range(10)])

    training.draw = lambda _, labels: of_class[labels]  # type: ignore[method-assign]

    assert examiner.examine(training).diversity == pytest.approx(0, abs=1e-6)
    assert examiner.examine(training).coverage > 0.3


def interrupted(ward: Ward) -> Ward:
    """Save a ward as a checkpoint does and open it again, with nothing else known of it."""
    ward.look()
    state, health = ward.training.state(), ward.doctor.state()
    saved = read_state(write_state(TrainingState(state.tensors | health.tensors, state.facts | health.facts)))
    resumed = Ward(ward.training.spec)
    resumed.training.restore(saved)
    resumed.doctor.restore(saved)
    return resumed


def test_an_interrupted_training_raises_and_clears_what_the_unbroken_one_does() -> None:
    braked = {"lr": 0.01, "schedule": {"name": "linear", "horizon_steps": 100}}
    spec = small_spec(
        dataset="breast_cancer",
        model={"architecture": "mlp"},
        objective={"loss": "saturating"},
        loop={"batch_size": 32},
        optimizer={"discriminator": braked},
    )
    unbroken, broken = Ward(spec).train(300), Ward(spec)
    changes = []

    for steps in (130, 45, 60, 65):  # in the midst of windows, and of what lies between two check-ups
        broken.train(steps)
        changes += broken.changes
        broken = interrupted(broken)

    assert {change.standing.state for change in changes} == {"raised", "cleared"}
    assert changes == unbroken.changes
    assert broken.doctor.record() == unbroken.doctor.record()


@pytest.mark.parametrize("losses", [(2.0,) * 300, (0.01,) * 50, ()])
def test_a_number_that_is_not_finite_is_dated_to_when_the_losses_began_to_grow(losses: tuple[float, ...]) -> None:
    spec = small_spec()
    columns = recorded_columns(spec)
    doctor = Doctor(spec, columns, has_held_out=False)
    explosion = [30.0 * 2**step for step in range(40)] if losses else []
    growing = [*losses, *explosion, np.nan]

    doctor.see(np.tile(np.array(growing)[:, np.newaxis], len(columns)))
    finding = doctor.diverged(len(growing)).standing.finding

    assert finding == Finding(len(losses) + 1, len(growing), {})


def test_a_checkpoint_of_before_the_doctor_was_saved_leaves_rules_where_they_stand() -> None:
    spec = small_spec()
    doctor = Doctor(spec, recorded_columns(spec), has_held_out=False)
    doctor.diverged(3)
    before = doctor.record()

    doctor.restore(small_training(spec).state())

    assert doctor.record() == before


def test_what_a_doctor_remembers_is_what_was_recorded() -> None:
    spec = small_spec(objective={"loss": "saturating"})
    columns = recorded_columns(spec)
    first, second = (Doctor(spec, columns, has_held_out=True) for _ in range(2))
    rows = np.zeros((WINDOW, len(columns)))
    first.see(rows)
    assert [change.rule for change in first.judge(checkup(), {})] == ["saturation"]

    second.remember(first.record())

    assert second.record() == first.record()
    second.see(rows)
    assert second.judge(checkup(), {}) == []


def test_a_rate_factor_is_part_of_the_state_and_of_the_recorded_rates() -> None:
    spec = small_spec()
    training, resumed = small_training(spec), small_training(spec)
    training.rate_factor = 0.25
    training.step()

    resumed.restore(read_state(write_state(training.state())))
    training.step()
    resumed.step()

    assert write_state(resumed.state()) == write_state(training.state())
    assert resumed.rate_factor == 0.25
    rows = dict(zip(resumed.recorder.columns, resumed.recorder.take()[1][0], strict=True))
    assert (rows["g_lr"], rows["d_lr"]) == pytest.approx((0.25e-3, 0.25e-3))


def test_a_state_of_before_rollbacks_goes_on_at_full_rates() -> None:
    training = small_training(small_spec())
    state = training.state()
    del state.facts["rate_factor"]

    training.restore(state)

    assert training.rate_factor == 1.0


def find(rule: str, training: Training, steps: int) -> Finding | None:
    """Judge the rows of a training by one rule."""
    for _ in range(steps):
        training.step()
    rows = dict(zip(training.recorder.columns, training.recorder.take()[1].T.astype(float), strict=True))
    return JUDGES[rule](Case(training.spec, steps, {name: row[-WINDOW:] for name, row in rows.items()}, (), Past()))


@pytest.mark.parametrize(("gamma", "is_raised"), [(0, True), (1, False)])
def test_the_undamped_dirac_game_rotates_and_r1_damps_it(gamma: float, is_raised: bool) -> None:
    plain = {"name": "sgd", "lr": 0.1}
    spec = small_spec(
        objective={"loss": "saturating", "r1": gamma},
        loop={"variant": "fused", "max_steps": WINDOW},
        optimizer={"generator": plain, "discriminator": plain},
    )

    finding = find("rotation", dirac_training(spec, psi=0.5, theta=0.5), WINDOW)

    assert (finding is not None) == is_raised


CONSTANT = {"name": "constant", "warmup_steps": 0}
FROZEN_AFTER, FROZEN_STEPS = 150, 100


def test_a_hundred_steps_of_the_generator_alone_raise_collapse() -> None:
    networks = {"width": 32, "depth": 2}
    spec = small_spec(
        seed=1,
        model={"generator": networks, "discriminator": {**networks, "octaves": 0}},
        objective={"loss": "non_saturating", "r1": 0.1, "r2": 0.1},
        loop={"batch_size": 32, "max_steps": FROZEN_AFTER + FROZEN_STEPS},
        optimizer={
            "generator": {"lr": 0.002, "schedule": CONSTANT},
            "discriminator": {"lr": 0.002, "schedule": {"name": "linear", "horizon_steps": FROZEN_AFTER}},
        },
    )
    ward = Ward(spec).train(FROZEN_AFTER)
    assert ward.raised == []

    ward.train(FROZEN_STEPS)

    assert ward.raised == ["collapse"]


@pytest.mark.parametrize("dataset", FREEZABLE)
def test_a_hundred_steps_against_a_discriminator_that_never_learns_raise_collapse(dataset: str) -> None:
    never = {"loop": {"max_steps": 100}, "optimizer": {"discriminator": {"lr": 0}}}
    watched = begin({"dataset": dataset, "seed": 1, **never})

    watched.train(100)

    assert watched.said == [("collapse", "raised", 100)]


def test_the_saturating_loss_against_a_strong_discriminator_raises_saturation() -> None:
    spec = small_spec(
        dataset="breast_cancer",
        model={"architecture": "mlp"},
        objective={"loss": "saturating"},
        loop={"batch_size": 32},
        optimizer={"generator": {"lr": 1e-5}, "discriminator": {"lr": 0.01}},
    )

    ward = Ward(spec).train(200)

    assert "saturation" in ward.raised
    assert "non_saturating" in RULES["saturation"].advice


HEALTHY = [
    {"dataset": "ring"},
    {"dataset": "grid"},
    {"dataset": "moons"},
    {"dataset": "subspace"},
    {"dataset": "iris"},
    {"dataset": "wine"},
    {"objective": {"loss": "non_saturating"}},
    {"objective": {"loss": "hinge"}},
    {"objective": {"loss": "least_squares"}, "loop": {"variant": "reuse"}},
    {"dataset": "breast_cancer", "loop": {"variant": "fused"}},
]


@pytest.mark.parametrize("parts", HEALTHY, ids=str)
def test_healthy_trainings_raise_nothing(parts: dict[str, Any]) -> None:
    networks = {"width": 32, "depth": 2}
    small = {"model": {"generator": networks, "discriminator": networks}, "seed": 3}
    spec = a_spec(**merge(small, merge({"loop": {"batch_size": 32, "max_steps": 450}}, parts)))

    assert Ward(spec).train(450).raised == []
