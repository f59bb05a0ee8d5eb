"""The projection onto the vocabulary says the same on any number of cores, and of logits of any size."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from threading import enumerate as enumerate_threads

import pytest
import torch

from curate.engines import hf_project

CORES = 3


@pytest.fixture(params=[1, CORES])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(usual)


@pytest.mark.parametrize(
    "size", [1.0, 20.0, 1000.0]
)  # near 0, far from it, and more than float32 exponentiates
@pytest.mark.parametrize("shift", [0.0, -200.0])
@pytest.mark.parametrize("more", [False, True])
def test_cores_and_the_size_of_logits_change_no_measure(
    cores: int, size: float, shift: float, more: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_project, "TILE", {"cpu": (90, 64)})
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 401)
    states, ids = size * torch.randn(350, 8), torch.randint(401, (350,))
    with torch.inference_mode():
        head.bias += shift
        own, entropy, values, names, rank = hf_project.project(head, states, ids, more, 3 * more, more)
        logits = head(states)
        chances = logits.log_softmax(-1)
    expected = chances.gather(-1, ids[:, None])[:, 0]
    assert torch.allclose(own, expected, atol=1e-4 * max(1.0, size / 20), rtol=0)
    assert not more or torch.allclose(entropy, -(chances.exp() * chances).sum(-1), atol=1e-3)
    assert not more or torch.allclose(values, chances.topk(3).values, atol=1e-4 * max(1.0, size / 20))
    assert not more or (rank - 1 - (chances > expected[:, None]).sum(-1)).abs().max() <= 1


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_chances_are_those_of_the_logits_that_the_head_gives(
    dtype: torch.dtype, bias: bool, size: float
) -> None:
    """Rounded as the head rounds them."""
    torch.manual_seed(0)
    head = torch.nn.Linear(16, 1501, bias=bias).to(dtype)
    ids = torch.randint(1501, (350,))
    with torch.inference_mode():
        head.weight.normal_()
        if bias:
            head.bias.normal_(0, 5)
        states = (size / 4 * torch.randn(350, 16)).to(dtype)
        own = hf_project.project(head, states, ids, False, 0, False)[0]
        expected = head(states).double().log_softmax(-1).gather(-1, ids[:, None])[:, 0]
    off, a_rounding = (own - expected).abs(), 2 * torch.finfo(dtype).eps * size * 16
    assert off.max() < a_rounding and off.median() < 1e-5
    assert (off > 1e-4).float().mean() < 0.05  # another order of summing may round a logit otherwise


def test_no_chance_is_above_one() -> None:
    torch.manual_seed(0)
    head, ids = torch.nn.Linear(64, 1501, bias=False), torch.randint(1501, (2000,))
    with torch.inference_mode():
        head.weight.normal_(0, 10)
        states = head.weight[ids] * 3  # each token is the one that is expected
        own = hf_project.project(head, states, ids, False, 0, False)[0]
    assert own.min() > -0.1 and own.max() == 0


def test_every_core_has_tokens_of_its_own_and_keeps_its_hands_off_others(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's number of threads is this thread's own, and what threads that begin later start with."""
    seen: list[tuple[int, int]] = []
    piece = hf_project._piece

    def watched(*args: object) -> hf_project.Measures:
        found = piece(*args)
        seen.append((len(found[0]), torch.get_num_threads()))
        return found

    monkeypatch.setattr(hf_project, "_piece", watched)
    hf_project.project(torch.nn.Linear(8, 40), torch.randn(300, 8), torch.arange(300) % 40, False, 0, False)
    assert seen == [(300 // cores, 1)] * cores
    assert torch.get_num_threads() == cores
    later: list[int] = []
    thread = Thread(target=lambda: (torch.ones(1 << 20).sum(), later.append(torch.get_num_threads())))
    thread.start()
    thread.join()
    assert later == [cores]


def test_who_begins_while_cores_are_given_away_keeps_the_usual_number(cores: int) -> None:
    """Threads that begin while others project: each sees what this one has."""
    head, states, ids = torch.nn.Linear(8, 40), torch.randn(300, 8), torch.arange(300) % 40
    seen: list[int] = []

    def begins() -> None:
        hf_project.begin()
        seen.append(torch.get_num_threads())

    over = Event()

    def projects() -> None:
        hf_project.begin()
        while not over.is_set():
            hf_project.project(head, states, ids, False, 0, False)

    busy = Thread(target=projects)
    busy.start()
    for _ in range(200):
        one = Thread(target=begins)
        one.start()
        one.join()
    over.set()
    busy.join()
    assert seen == [cores] * 200


def test_helpers_stay_for_the_next_batch_and_end_with_the_thread_that_they_help() -> None:
    head, states, ids = torch.nn.Linear(8, 40), torch.randn(300, 8), torch.arange(300) % 40
    before, seen = set(enumerate_threads()), []

    def projects() -> None:
        torch.set_num_threads(CORES)
        for _ in range(3):
            hf_project.project(head, states, ids, False, 0, False)
            seen.append({t for t in set(enumerate_threads()) - before if t.name.startswith("hf-project")})

    usual = torch.get_num_threads()
    one = Thread(target=projects)
    one.start()
    one.join()
    torch.set_num_threads(usual)
    assert seen[0] and seen[0] <= seen[1] <= seen[2] and len(seen[2]) <= CORES
    for helper in seen[2]:
        helper.join(60)
    assert not any(helper.is_alive() for helper in seen[2])


def test_no_tokens_have_no_measures_and_a_word_the_head_lacks_has_no_chance() -> None:
    head, states = torch.nn.Linear(8, 40), torch.randn(2, 8)
    nothing = hf_project.project(head, states[:0], torch.arange(0), False, 0, False)
    assert [len(part) for part in nothing] == [0] * 5
    own = hf_project.project(head, states, torch.tensor([39, 40]), False, 0, False)[0]
    assert own[0].isfinite() and own[1] == -torch.inf
