"""A batch in which every row draws its own sample; finished rows leave at once, and waiting ones come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from transformers import DynamicCache

from curate.engines.hf_cache import RoomyLayer, roomy_cache
from curate.engines.hf_jobs import Draw, Drawn
from curate.engines.hf_prefix import Held, Prefixes, together
from curate.engines.hf_sampling import Knobs, pick
from curate.engines.hf_words import SEAM, Words
from curate.engines.sampling import cut_at, stop_in
from curate.errors import CallFailed

_FREE = {True: 4, False: 16}  # one place in so many: where to read new rows took a pass of its own, or not
_PASS = {"cpu": 64, "cuda": 1 << 14}  # tokens: to read so many more costs as much as another pass


class Batch:
    """Rows in flight, their cache, and the tokens to be fed next."""

    def __init__(
        self, model: Any, words: Words, ends: frozenset[int], rows: Sequence[Draw], read: Prefixes
    ) -> None:
        self.model, self.words, self.ends, self.read = model, words, ends, read
        self.rows = list(rows)
        self.cache: Any = roomy_cache(model.config)
        self.feed, self.mask = pad_left([r.ids for r in self.rows], model.device)
        self.at = (self.mask.cumsum(-1) - 1).clamp(min=0)
        old, known = read.known([row.ids for row in self.rows])
        if old:
            self.feed, self.at = self.feed[:, old:], self.at[:, old:]
            for i, layer in enumerate(self.cache.layers):
                layer.begin([held and held[i] for held in known], old, self.feed.shape[-1])
        samplings, seeds = [r.sampling for r in self.rows], [r.seed for r in self.rows]
        self.knobs = Knobs.of(samplings, seeds, model.device)

    def step(self) -> None:
        """Every row draws one token; rows that are finished are answered and leave."""
        logits = forward(self.model, self.cache, self.feed, self.mask, self.at, keep=1)[:, -1].float()
        mass = logits.logsumexp(-1)
        steps = torch.tensor([len(r.new) for r in self.rows], device=logits.device)
        tokens = self._pick(logits, steps)
        own = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - mass
        drawn, chances = tokens.tolist(), own.clamp(max=0).tolist()
        for row, token, chance in zip(self.rows, drawn, chances, strict=True):
            row.new.append(token)
            row.logprobs.append(chance)
        self.feed, self.at = tokens.unsqueeze(-1), self.at[:, -1:] + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.rows), 1)], dim=-1)
        stay = [i for i, row in enumerate(self.rows) if not (row.future.done() or self._finish(row))]
        if len(stay) < len(self.rows):
            if self.can_join:
                for i in set(range(len(self.rows))).difference(stay):
                    self._remember(i)
            self._keep(stay)

    def _pick(self, logits: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """The next token of each row; a token with which a banned string would end is drawn again."""
        tokens = pick(logits, self.knobs, steps)
        rows = [i for i, row in enumerate(self.rows) if row.ban]
        while rows := [i for i in rows if self._banned(self.rows[i], int(tokens[i]))]:
            logits[rows, tokens[rows]] = float("-inf")
            for i, hope in zip(rows, logits[rows].isfinite().any(-1).tolist(), strict=True):
                if not hope:
                    ban = list(self.rows[i].ban)
                    self.rows[i].fail(CallFailed(f"ban={ban!r} leaves the model no token to go on with"))
            tokens[rows] = pick(logits[rows], self.knobs.rows(rows), steps[rows])
        return tokens

    def _remember(self, i: int) -> None:
        """Let others begin with what this row has read: all but the token drawn last."""
        ids = (self.rows[i].ids + self.rows[i].new)[:-1]

        def held() -> Held:
            whole = slice(-len(ids), None)
            return [(a.keys[i, :, whole].clone(), a.values[i, :, whole].clone()) for a in self.cache.layers]

        self.read.keep(ids, held)

    @property
    def width(self) -> int:
        """The tokens of the longest row, padding included."""
        return self.mask.shape[-1]

    def shed(self, keep: int) -> list[Draw]:
        """Take out all rows but the `keep` that have drawn most."""
        order = sorted(range(len(self.rows)), key=lambda i: -len(self.rows[i].new))
        out = [self.rows[i] for i in sorted(order[keep:])]
        self._keep(sorted(order[:keep]))
        return out

    @property
    def can_join(self) -> bool:
        """Whether two batches of this model can be made one: not where a layer remembers only a window."""
        return all(isinstance(layer, RoomyLayer) for layer in self.cache.layers)

    def let_in(self, new: Sequence[Draw]) -> bool:
        """Take rows that have not begun; those as long are read together. Says whether that took a pass."""
        begun, a_pass = None, False
        unread = [self.read.unread(row.ids) for row in new]
        for part in together(unread, _PASS.get(self.model.device.type, _PASS["cpu"])):
            some = Batch(self.model, self.words, self.ends, [new[i] for i in part], self.read)
            if not some.can_be_joined:
                some.step()
                a_pass = True
            if begun is None or not begun.rows:
                begun = some
            elif some.rows:
                begun.join(some)
        if begun is not None and begun.rows:
            self.join(begun)
        return a_pass

    @property
    def can_be_joined(self) -> bool:
        """Whether all but the last token of every row is read."""
        return self.feed.shape[-1] == 1 < self.width

    def join(self, other: Batch) -> None:
        """Take the rows of another batch of which all but the last token is read."""
        width = max(self.width, other.width)
        masks = [torch.nn.functional.pad(b.mask, (width - b.width, 0)) for b in (self, other)]
        self.mask = torch.cat(masks)
        for layer, new in zip(self.cache.layers, other.cache.layers, strict=True):
            layer.join(new)
        self.feed = torch.cat([self.feed, other.feed])
        self.at = torch.cat([self.at, other.at])
        self.knobs = Knobs(*map(torch.cat, zip(self.knobs, other.knobs, strict=True)))
        self.rows += other.rows

    def _keep(self, stay: list[int]) -> None:
        """Only these rows; the last of them move to where others have left."""
        left = set(range(len(stay))).difference(stay)
        order = [stay.pop() if i in left else i for i in range(len(stay))]
        self.rows = [self.rows[i] for i in order]
        if not order:
            return
        index = torch.tensor(order, device=self.mask.device)
        self.mask, self.feed, self.at = self.mask[index], self.feed[index], self.at[index]
        self.knobs = self.knobs.rows(index)
        if not self.can_join:
            self.cache.reorder_cache(index)
        else:
            unused = int(self.mask.any(0).int().argmax())  # columns that only the rows that left had needed
            self.mask = self.mask[:, unused:]
            for layer in self.cache.layers:
                layer.keep(order)
                layer.keys, layer.values = layer.keys[:, :, unused:], layer.values[:, :, unused:]

    def _banned(self, row: Draw, token: int) -> bool:
        """Whether a banned string would end in this token."""
        if token in self.ends or not self.words.can_end(token, row.ban) or row.future.done():
            return False
        reach = max(map(len, row.ban))
        window = (reach + 1) * 4  # a character takes at most four tokens
        text = self._text(row, row.new[-window:] + [token], whole=len(row.new) <= window)
        seam = row.begun[-(reach - 1) :] if reach > 1 and len(row.new) <= window else ""
        return any(b in (seam + text)[max(0, len(seam) - len(b) + 1) :] for b in row.ban)

    def _finish(self, row: Draw) -> bool:
        """Answer the row if it has come to its end."""
        ended = row.new[-1] in self.ends
        ids = row.new[:-1] if ended else row.new
        stopped, at, kept = None, "", None
        if row.stop and not ended and self.words.can_end(ids[-1], row.stop) and self._stops(row):
            said = self._text(row, ids, whole=True)
            stopped, at = cut_at(said, row.stop), stop_in(said, row.stop)
            kept = ids if stopped is not None and stopped + at == said else None
        if not ended and stopped is None and len(row.new) < row.limit:
            return False
        finish: Literal["stop", "length"] = "stop" if ended or stopped is not None else "length"
        text = self._text(row, ids, whole=True) if stopped is None else stopped
        if finish == "length":
            text, kept = self.words.whole_after(row.ids[-SEAM:], ids)
        own = None if kept is None else tuple(kept)
        row.answer(Drawn(text, finish, len(row.new), tuple(row.logprobs), at, own))
        return True

    def _stops(self, row: Draw) -> bool:
        """Whether a stop string may stand at the end of what was drawn; looks only there."""
        tail = row.new[-(max(map(len, row.stop)) + 1) * 4 :]
        text = self._text(row, tail, whole=len(tail) == len(row.new))
        return any(s in text for s in row.stop)

    def _text(self, row: Draw, ids: list[int], whole: bool) -> str:
        """The text of new tokens as it reads after the prompt, white space kept."""
        return self.words.after(row.ids[-SEAM:], ids) if whole else self.words.text(ids)


class Source(Protocol):
    """Where rows come from, and how many there may be."""

    @property
    def closing(self) -> bool: ...
    def capacity(self, width: int) -> int: ...
    def more(self, free: int) -> Sequence[Draw]: ...
    def give_back(self, rows: Sequence[Draw]) -> None: ...


def decode(batch: Batch, source: Source) -> None:
    """Draw until every row is answered. Waiting rows come in once enough places are free.

    Nobody knows beforehand how long answers become: where the cache outgrows its memory, the rows that have
    drawn least are given back, to be drawn again when there is room.
    """
    took_a_pass = True
    with torch.inference_mode():
        while batch.rows and not source.closing:
            batch.step()
            if len(batch.rows) > source.capacity(batch.width):
                source.give_back(batch.shed(source.capacity(2 * batch.width)))
            places = source.capacity(2 * batch.width)  # room to double in
            free = places - len(batch.rows)
            enough = batch.rows and free >= max(1, places // _FREE[took_a_pass])
            if enough and batch.can_join and (new := source.more(free)):
                took_a_pass = batch.let_in(new)
    for row in batch.rows:
        row.future.cancel()


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and the mask of what is not padding, both [rows, longest]."""
    width = max(map(len, rows))
    ids = [[0] * (width - len(r)) + list(r) for r in rows]
    mask = [[0] * (width - len(r)) + [1] * len(r) for r in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def forward(
    model: Any, cache: DynamicCache, ids: torch.Tensor, mask: torch.Tensor, at: torch.Tensor, keep: int
) -> torch.Tensor:
    """The logits of the last `keep` positions; the cache grows by all of them."""
    return model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=at,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep,
    ).logits
