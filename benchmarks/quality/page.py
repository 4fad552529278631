"""The last part of docs/quality.md: what the trials say of the bars. What was written there by hand stays."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.quality.bars import BARS, Bar, Rule
from benchmarks.quality.record import PICTURES, ROOT, trials_of
from benchmarks.quality.rival import RIVAL
from benchmarks.quality.tasks import Task, todays_recipe
from benchmarks.quality.trials import RECIPE, Trial

PAGE = ROOT / "docs" / "quality.md"
OUTDATED = "Some of these figures are of an earlier recipe."
_BEGIN, _END = "<!-- bars: begin -->\n", "<!-- bars: end -->"
_BY_HAND = re.compile(r"<!-- ([^\n]+): by hand -->\n(.*?)<!-- end -->", re.DOTALL)

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Outcome:
    """What the seeds of a bar came to: their trials, and the medians of each row that stands beside them."""

    bar: Bar
    trials: Sequence[Trial]
    beside: Mapping[str, Figures]

    def median(self, metric: str) -> float | None:
        """Return the median over the seeds."""
        return median_of([trial.figures.get(metric) for trial in self.trials])

    def verdict(self, rule: Rule) -> str:
        """Return whether a rule is met, as far as can be told."""
        judged = self.judged(rule)
        if judged is None:
            return "-"
        return "met" if rule.holds(judged) else "missed"

    def judged(self, rule: Rule) -> float | None:
        """Return the median over the seeds of what a rule judges; None where it was not measured of each."""
        judged = [rule.judged(trial.figures.get(rule.metric), self.figure_beside(rule, trial)) for trial in self.trials]
        return None if None in judged else median_of(judged)

    def figure_beside(self, rule: Rule, trial: Trial) -> float | None:
        """Return the figure that a rule compares one trial's with; a rival's is the same for all."""
        if rule.beside is None:
            return None
        of_trial: Mapping[str, Figures] = {"real": trial.real, **trial.baselines}
        return of_trial.get(rule.beside, self.beside.get(rule.beside, {})).get(rule.metric)


def write_page(trials: Sequence[Trial]) -> None:
    """Write docs/quality.md anew between its two marks."""
    PAGE.write_text(rewritten(PAGE.read_text(), trials))


def rewritten(page: str, trials: Sequence[Trial]) -> str:
    """Return the page with the tables of these trials and all else as it was."""
    before, rest = page.split(_BEGIN)
    old, after = rest.split(_END)
    return before + _BEGIN + tables(trials, dict(_BY_HAND.findall(old))) + "\n" + _END + after


def tables(trials: Sequence[Trial], by_hand: Mapping[str, str]) -> str:
    """Return a line for each bar, then each bar that has figures, with what was written by hand of it."""
    outcomes = [outcome_of(bar, trials) for bar in BARS]
    sections = [section(outcome, by_hand.get(str(outcome.bar), "")) for outcome in outcomes if outcome.trials]
    return "\n\n".join("\n".join(part) for part in [overview(outcomes), *sections])


def outcome_of(bar: Bar, trials: Sequence[Trial]) -> Outcome:
    """Gather what was recorded of a bar."""
    ours, rivals = trials_of(bar, trials, RECIPE), trials_of(bar, trials, RIVAL)
    beside: dict[str, Figures] = {RIVAL: rivals[0].figures if rivals else {}} if bar.rivals else {}
    beside |= {"real": medians_of([trial.real for trial in ours])} if ours and ours[0].real else {}
    names = ours[0].baselines if ours else {}
    beside |= {name: medians_of([trial.baselines.get(name, {}) for trial in ours]) for name in names}
    return Outcome(bar, ours, beside)


def overview(outcomes: Sequence[Outcome]) -> list[str]:
    """Return how many rules each bar meets."""
    lines = ["| bar | data | seeds | rules met | missed | seconds |", "|---|---|---|---|---|---|"]
    for outcome in outcomes:
        rules = outcome.bar.rules
        missed = ", ".join(rule.metric for rule in rules if outcome.verdict(rule) == "missed")
        met = sum(outcome.verdict(rule) == "met" for rule in rules)
        shown = [outcome.bar.id, outcome.bar.dataset, f"{len(outcome.trials)} of {len(outcome.bar.seeds)}"]
        judged = f"{met} of {len(rules)}" if outcome.trials else "-"
        lines.append(row(*shown, judged, missed, figure(outcome.median("seconds"))))
    return lines


def section(outcome: Outcome, by_hand: str) -> list[str]:
    """Return a heading, each rule with the median and whether it is met, what was written by hand, the picture, and a
    row for each seed.
    """
    bar = outcome.bar
    lines = [f"### {bar}", ""]
    if any(trial.recipe != todays_recipe(Task(bar, trial.seed)) for trial in outcome.trials):
        lines += [OUTDATED, ""]
    lines += ["| rule | median | |", "|---|---|---|", *(_judged(outcome, rule) for rule in bar.rules), ""]
    lines += [f"<!-- {bar}: by hand -->", f"{by_hand}<!-- end -->", ""]
    picture = f"{bar.id}-{bar.dataset}.png"
    if (PICTURES / picture).exists():
        lines += [f"![samples of seed {bar.seeds[0]}](pictures/{picture})", ""]
    return lines + list(_rows(outcome))


def _judged(outcome: Outcome, rule: Rule) -> str:
    shown = figure(outcome.median(rule.metric))
    if rule.beside is not None:
        shown += f" ({rule.beside} {figure(outcome.beside.get(rule.beside, {}).get(rule.metric))}"
        shown += f", difference {figure(outcome.judged(rule))})" if rule.factor == 1 else ")"
    return row(str(rule), shown, outcome.verdict(rule))


def _rows(outcome: Outcome) -> Iterator[str]:
    rules = [rule.metric for rule in outcome.bar.rules if rule.metric != "seconds"]
    timed = outcome.trials[0].seconds is not None
    names = [*rules, *outcome.bar.shown, *(["seconds", "cpu_seconds"] if timed else [])]
    yield row("", *(name.replace("_", " ") for name in names))
    yield "|---" * (len(names) + 1) + "|"
    for trial in outcome.trials:
        yield row(f"seed {trial.seed}", *(figure(trial.figures.get(name)) for name in names))
    for beside, figures in outcome.beside.items():
        shown = [figure(figures.get(name)) for name in names] if figures else ["absent"]
        yield row(f"*{beside.replace('_', ' ')}*", *shown)


def row(*cells: str) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def medians_of(rows: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: median_of([one.get(name) for one in rows]) for name in rows[0]}


def median_of(values: Sequence[float | None]) -> float | None:
    """Return the median of what was measured; None where nothing was."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def figure(value: float | None) -> str:
    """Write a figure with as many digits as mean something; a dash where there is none."""
    return "-" if value is None else f"{value:.4g}"
