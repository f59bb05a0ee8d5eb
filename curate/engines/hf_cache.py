"""Keys and values are written in place: what is held is copied where its room ends, not for every token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_AHEAD = 64  # tokens of room that a copy leaves, so that it is made once in so many tokens


class RoomyLayer(DynamicLayer):
    """transformers' growing layer with room ahead. `keys` and `values` are views of what is held so far."""

    _rooms: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)

    def begin(
        self, rows: Sequence[tuple[torch.Tensor, torch.Tensor] | None], tokens: int, ahead: int
    ) -> None:
        """Begin with what was read before: of each row keys and values [heads, tokens, width], or None.

        What is shorter than `tokens` gets zeros before it. ahead: so many come next.
        """
        keys, values = [row and row[0] for row in rows], [row and row[1] for row in rows]
        key_room, held_keys = _begun(keys, tokens, ahead)
        value_room, held_values = _begun(values, tokens, ahead)
        self.lazy_initialization(held_keys, held_values)
        self.keys, self.values, self._rooms = held_keys, held_values, (key_room, value_room)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [rows, heads, tokens, width] to both; they may have been replaced by others in between."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        key_room, value_room = self._rooms
        key_room, self.keys = _append(key_room, self.keys, key_states)
        value_room, self.values = _append(value_room, self.values, value_states)
        self._rooms = key_room, value_room
        return self.keys, self.values

    def join(self, other: RoomyLayer) -> None:
        """Take the rows of another; who has fewer tokens gets zeros before them."""
        key_room, value_room = self._rooms
        key_room, self.keys = _joined(key_room, self.keys, other.keys)
        value_room, self.values = _joined(value_room, self.values, other.values)
        self._rooms = key_room, value_room

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows, in this order; one that moves comes from behind all that are left."""
        self.keys, self.values = _kept(self.keys, rows), _kept(self.values, rows)


def roomy_cache(config: Any) -> Any:
    """The cache of a model, whose layers that remember everything have room ahead."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def cache_bytes(model: Any) -> int:
    """The bytes that one token of one row takes in the cache."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * width * model.dtype.itemsize


def _begun(rows: Sequence[torch.Tensor | None], tokens: int, ahead: int) -> tuple[torch.Tensor, torch.Tensor]:
    like = next(row for row in rows if row is not None)
    room = like.new_empty((len(rows), like.shape[0], tokens + ahead + _AHEAD, like.shape[2]))
    for i, row in enumerate(rows):
        begin = tokens if row is None else tokens - row.shape[1]
        room[i, :, :begin] = 0
        if row is not None:
            room[i, :, begin:tokens] = row
    return room, room[:, :, :tokens]


def _kept(held: torch.Tensor | None, rows: Sequence[int]) -> torch.Tensor | None:
    if held is None:
        return None
    for to, row in enumerate(rows):
        if row != to:
            held[to].copy_(held[row])
    return held[: len(rows)]


def _append(
    room: torch.Tensor | None, held: torch.Tensor | None, new: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`held` and `new` side by side: in `room`, where `held` lies in it and `new` fits in behind."""
    tokens = held.shape[-2] if held is not None and held.numel() else 0
    begin = _begin(room, held) if tokens else None
    if room is None or begin is None or begin + tokens + new.shape[-2] > room.shape[-2]:
        rows = len(room) if room is not None and 3 * len(room) <= 4 * len(new) else len(new)
        room, begin = _room_for(new, rows, tokens + new.shape[-2]), 0
        if held is not None and tokens:
            room[: len(held), :, :tokens] = held
    end = begin + tokens + new.shape[-2]
    room[: len(new), :, begin + tokens : end] = new
    return room, room[: len(new), :, begin:end]


def _joined(
    room: torch.Tensor | None, held: torch.Tensor | None, new: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """`held` above `new`, ends aligned: in `room`, where `held` lies in it and both fit."""
    assert held is not None and new is not None, "a batch joins another when both have been read"
    rows, tokens, more, theirs = len(held), held.shape[-2], len(new), new.shape[-2]
    width, begin = max(tokens, theirs), _begin(room, held)
    if room is None or begin is None or rows + more > len(room) or begin + tokens < width:
        room = _room_for(held, rows + more, width)
        end = width
        room[:rows, :, end - tokens : end] = held
    else:
        end = begin + tokens
    room[:rows, :, end - width : end - tokens] = 0
    room[rows : rows + more, :, end - width : end - theirs] = 0
    room[rows : rows + more, :, end - theirs : end] = new
    return room, room[: rows + more, :, end - width : end]


def _room_for(like: torch.Tensor, rows: int, tokens: int) -> torch.Tensor:
    return like.new_empty((rows, like.shape[1], tokens + _AHEAD, like.shape[3]))


def _begin(room: torch.Tensor | None, held: torch.Tensor | None) -> int | None:
    """The column of `room` where `held` begins, if it lies in it; those before may have been given up."""
    if room is None or held is None:
        return None
    if held.untyped_storage().data_ptr() != room.untyped_storage().data_ptr():
        return None
    return int(held.storage_offset() // room.stride(-2))
