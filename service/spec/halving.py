"""Asynchronous successive halving (Li et al. 2018, arXiv 1810.05934): rungs of steps, and who falls behind at them.

Nothing is remembered: the values measured so far say it all, so to judge again changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """A member as it is judged: its merits by measured step (more is better), its last step, whether it has ended."""

    merits: Mapping[int, float]
    max_steps: int
    has_ended: bool


@dataclass(frozen=True)
class Verdict:
    """A member that falls behind: at which rung, in which place of how many, of whom so many go on."""

    member: str
    rung: int
    place: int
    reached: int
    promoted: int

    def __str__(self) -> str:
        """Say it to its owner."""
        go_on = "one goes on" if self.promoted == 1 else f"{self.promoted} go on"
        return f"In place {self.place} of the {self.reached} members that have reached step {self.rung}; {go_on}."


def rungs_below(last_step: int, *, reduction: int, min_steps: int) -> list[int]:
    """Return the steps at which members are compared, ascending; the last step of a member is none."""
    rungs = []
    while min_steps < last_step:
        rungs.append(min_steps)
        min_steps *= reduction
    return rungs


def fallen_behind(members: Mapping[str, Standing], *, reduction: int, min_steps: int) -> Sequence[Verdict]:
    """Return the members that are to be stopped.

    One in `reduction` of those that have reached a rung goes on, whoever is best there by now; while fewer than that
    have reached it, all do. A member is judged at the highest rung that it has reached. Of equal ones the first go on.
    """
    rungs = rungs_below(
        max((each.max_steps for each in members.values()), default=0), reduction=reduction, min_steps=min_steps
    )
    verdicts = []
    for rung in rungs:
        reached = sorted(
            (each for each in members if rung in members[each].merits), key=lambda each: -members[each].merits[rung]
        )
        promoted = len(reached) // reduction
        behind = enumerate(reached[promoted:], promoted + 1) if promoted else ()
        verdicts += [
            Verdict(member, rung, place, len(reached), promoted)
            for place, member in behind
            if _stands_at(members[member], rung, rungs)
        ]
    return verdicts


def _stands_at(member: Standing, rung: int, rungs: Sequence[int]) -> bool:
    """Tell whether a live member has reached this rung and no higher one."""
    highest = max((each for each in rungs if each in member.merits), default=0)
    return not member.has_ended and rung == highest and rung < member.max_steps
