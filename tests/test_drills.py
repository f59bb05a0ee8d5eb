"""A run whose driver, workers and server are killed at random ends like one left alone; the small version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from kill_drills import KINDS, Found, Kill, bought_twice, drills, sound, table  # noqa: E402


@pytest.mark.slow
def test_a_few_kills_lose_nothing_double_nothing_and_buy_nothing_twice(tmp_path: Path) -> None:
    found = drills(tmp_path, kills=6, seed=0)
    assert len(found.kills) == 6 and {k.kind for k in found.kills} <= set(KINDS)
    assert sound(found), table(found)


def test_the_drills_see_what_was_bought_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("+ a 1\n- a 1\n+ b 2\n+ b 3\n- b 2\n- b 3\n+ c 4\n- c 4\n+ c 5\n- c 5\n")
    kill = Kill("driver", logged=3, at=0.0)
    found = Found(kills=[kill])
    bought_twice(log, {"a", "b", "c"}, [kill], found)
    assert (kill.twice, found.twice_without_a_kill, found.calls) == (1, 1, 3)
    assert not sound(found), "c was bought twice, and nobody was killed in between"
    assert sound(Found(kills=[kill])) and not sound(Found(lost=1)) and not sound(Found(other_bytes=1))


def test_what_is_bought_twice_after_two_kills_may_be_of_the_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"+ {i % 6} {i}\n- {i % 6} {i}\n" for i in range(12)))
    both = [Kill("replica", logged=4, at=0.0), Kill("replica", logged=12, at=1.0)]
    bought_twice(log, {*"012345"}, both, Found(kills=both))
    assert [k.twice for k in both] == [2, 4] and sound(Found(kills=both))
    alone = Kill("replica", logged=12, at=1.0)
    bought_twice(log, {*"012345"}, [alone], Found(kills=[alone]))
    assert alone.twice == 6 and not sound(Found(kills=[alone])), "more than it had in flight"


def test_a_call_that_two_kills_cost_an_answer_is_laid_to_both(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("+ a 1\n+ a 2\n+ a 3\n- a 1\n- a 2\n- a 3\n")  # slower than both replicas were killed
    both = [Kill("replica", logged=1, at=0.0), Kill("replica", logged=2, at=1.0)]
    bought_twice(log, {"a"}, both, Found(kills=both))
    assert [k.twice for k in both] == [1, 1]


def test_a_question_that_died_with_the_server_has_cost_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("+ a 1\n+ a 2\n- a 2\n")
    kill, found = Kill("server", logged=1, at=0.0), Found()
    bought_twice(log, {"a"}, [kill], found)
    assert (kill.twice, found.calls, found.twice_without_a_kill) == (0, 1, 0)
