"""A layer with room ahead holds what plain concatenation holds, whatever was done to it in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from curate.engines.hf_cache import RoomyLayer  # noqa: E402

HEADS, WIDTH = 2, 3
DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 90)),
        st.tuples(st.just("keep"), st.randoms(use_true_random=False)),
        st.tuples(st.just("give up on the left"), st.integers(0, 5)),
        st.tuples(st.just("join"), st.tuples(st.integers(1, 3), st.integers(1, 9))),
    ),
    max_size=12,
)


@given(DOINGS, st.integers(1, 6))
def test_room_ahead_changes_nothing(doings: list[tuple[str, object]], rows: int) -> None:
    layer, count = RoomyLayer(), iter(range(10**6))

    def fresh(rows: int, tokens: int) -> torch.Tensor:
        numbers = [next(count) for _ in range(rows * HEADS * tokens * WIDTH)]
        return torch.tensor(numbers, dtype=torch.float32).reshape(rows, HEADS, tokens, WIDTH)

    plain = fresh(rows, 4)
    layer.update(plain, -plain)
    for doing, how in doings:
        if doing == "append":
            new = fresh(len(plain), how)
            plain = torch.cat([plain, new], dim=-2)
            keys, values = layer.update(new, -new)
            assert keys is layer.keys and values is layer.values
        elif doing == "keep":
            stay = sorted(how.sample(range(len(plain)), how.randint(1, len(plain))))
            gone = set(range(len(stay))).difference(stay)
            order = [stay.pop() if i in gone else i for i in range(len(stay))]
            plain = plain[order]
            layer.keep(order)
        elif doing == "give up on the left":
            gone = min(how, plain.shape[-2] - 1)
            plain = plain[:, :, gone:]
            layer.keys, layer.values = layer.keys[:, :, gone:], layer.values[:, :, gone:]
        else:
            other, new = RoomyLayer(), fresh(how[0], max(1, plain.shape[-2] + how[1] - 5))
            other.update(new, -new)
            layer.join(other)
            width = max(plain.shape[-2], new.shape[-2])
            pad = torch.nn.functional.pad
            plain = torch.cat([pad(a, (0, 0, width - a.shape[-2], 0)) for a in (plain, new)])
        assert torch.equal(layer.keys, plain) and torch.equal(layer.values, -plain)
        assert layer.get_seq_length() == plain.shape[-2]


def test_most_tokens_are_written_without_a_copy() -> None:
    layer, new = RoomyLayer(), torch.zeros(4, HEADS, 1, WIDTH)
    rooms = {layer.update(new, new)[0].untyped_storage().data_ptr() for _ in range(600)}
    layer.keep([0, 3, 2])
    assert layer.update(new[:3], new[:3])[0].untyped_storage().data_ptr() in rooms
    assert len(rooms) <= 10
