"""Who goes on at the rungs of a sweep by successive halving."""

from service.spec.halving import Standing, fallen_behind, rungs_below

RULE = {"reduction": 3, "min_steps": 10}


def standing(*merits: float, max_steps: int = 1_000, has_ended: bool = False) -> Standing:
    """A member by its merits at the steps 10, 30, 90."""
    return Standing(dict(zip((10, 30, 90), merits, strict=False)), max_steps, has_ended)


def stopped(**members: Standing) -> dict[str, int]:
    return {verdict.member: verdict.rung for verdict in fallen_behind(members, **RULE)}


def test_rungs_are_ever_further_apart_and_end_before_the_last_step() -> None:
    assert rungs_below(90, reduction=3, min_steps=10) == [10, 30]
    assert rungs_below(91, reduction=3, min_steps=10) == [10, 30, 90]


def test_while_fewer_than_the_reduction_have_reached_a_rung_all_go_on() -> None:
    assert stopped(a=standing(1), b=standing(2), c=standing()) == {}


def test_one_in_so_many_goes_on_whoever_came_first() -> None:
    assert stopped(a=standing(1), b=standing(3), c=standing(2), d=standing()) == {"a": 10, "c": 10}
    six = {name: standing(merit) for merit, name in enumerate("abcdef")}
    assert stopped(**six) == dict.fromkeys("abcd", 10)


def test_of_equal_ones_the_first_goes_on() -> None:
    assert stopped(a=standing(1), b=standing(1), c=standing(1)) == {"b": 10, "c": 10}


def test_who_has_reached_a_higher_rung_is_judged_there_alone() -> None:
    early = {"a": standing(1, 9), "b": standing(2, 8)}  # they went on while they were the only ones

    assert stopped(**early, c=standing(5), d=standing(4)) == {"d": 10}
    assert stopped(**early, c=standing(5, 7), d=standing(4)) == {"b": 30, "c": 30, "d": 10}


def test_those_who_have_ended_count_but_are_not_stopped() -> None:
    assert stopped(a=standing(9, has_ended=True), b=standing(1, has_ended=True), c=standing(5)) == {"c": 10}


def test_a_member_at_its_last_step_is_not_stopped() -> None:
    assert stopped(a=standing(9), b=standing(1, max_steps=10), c=standing(5)) == {"c": 10}


def test_a_verdict_says_what_it_rests_on() -> None:
    members = {"a": standing(1), "b": standing(3), "c": standing(2)}

    told = [str(verdict) for verdict in fallen_behind(members, **RULE)]

    assert told == [
        "In place 2 of the 3 members that have reached step 10; one goes on.",
        "In place 3 of the 3 members that have reached step 10; one goes on.",
    ]
