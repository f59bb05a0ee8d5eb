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

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows, in this order; those that stand where they stood are not touched."""
        self.keys, self.values = _kept(self.keys, rows), _kept(self.values, rows)


def roomy_cache(config: Any) -> Any:
    """The cache of a model, whose layers that remember everything have room ahead."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def begin(cache: Any, held: torch.Tensor) -> None:
    """Let a cache begin with what was read before. held: [rows, 2, layers, heads, tokens, width]."""
    for i, layer in enumerate(cache.layers):
        keys, values = held[:, 0, i], held[:, 1, i]
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values


def _kept(held: torch.Tensor | None, rows: Sequence[int]) -> torch.Tensor | None:
    if held is None:
        return None
    moved = [to for to, row in enumerate(rows) if row != to]
    held[moved] = held[[rows[to] for to in moved]]
    return held[: len(rows)]


def _append(
    room: torch.Tensor | None, held: torch.Tensor | None, new: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`held` and `new` side by side: in `room`, where `held` lies in it and `new` fits in behind."""
    tokens = held.shape[-2] if held is not None and held.numel() else 0
    begin = 0
    if room is not None and held is not None and tokens and _lies_in(room, held):
        begin = held.storage_offset() // room.stride(-2)  # columns on the left may have been given up
    else:
        room = None
    if room is None or begin + tokens + new.shape[-2] > room.shape[-2]:
        room, begin = new.new_empty((*new.shape[:-2], tokens + new.shape[-2] + _AHEAD, new.shape[-1])), 0
        if held is not None and tokens:
            room[..., :tokens, :] = held
    end = begin + tokens + new.shape[-2]
    room[: len(new), :, begin + tokens : end] = new
    return room, room[: len(new), :, begin:end]


def _lies_in(room: torch.Tensor, held: torch.Tensor) -> bool:
    return held.untyped_storage().data_ptr() == room.untyped_storage().data_ptr()
