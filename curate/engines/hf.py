"""An engine that runs a checkpoint itself, with transformers, on the CPU or one GPU."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from curate.engines.hf_checkpoint import Checkpoint, load, revision_of
from curate.engines.hf_jobs import Draw, Drawn, Scoring
from curate.engines.hf_worker import Worker
from curate.engines.sampling import AsDrawn, Sampled
from curate.step import Completion, Message, TokenScores


@dataclass
class _Door:
    worker: Worker
    checkpoint: Checkpoint
    users: int = 1


@dataclass(frozen=True)
class HF(Sampled):
    """`model` is a checkpoint folder or a hub id; `revision` a commit, branch or tag of the latter.

    What is asked at the same time is answered in batches of up to batch_size rows (None: 128 on a CPU, 256 on
    a GPU, fewer where the memory is short). A request with a seed is answered alike in every batch, up to
    rounding. dtype: of the weights; float32 rounds less, and is slower where the processor itself multiplies
    bfloat16 (a GPU, AMX), faster where it does not. device: None takes a GPU if any.
    """

    loads: ClassVar[bool] = True
    least: ClassVar[Mapping[str, float]] = {"batch_size": 1}
    revision: str | None = field(default=None, kw_only=True)
    dtype: str = field(default="bfloat16", kw_only=True)
    device: str | None = field(default=None, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)
    _door: _Door | None = field(init=False, repr=False, compare=False, default=None)

    @cached_property
    def _revision(self) -> str:
        return revision_of(self.model, self.revision)

    @property
    def identity(self) -> dict[str, Any]:
        """A folder counts by its content, so that a checkpoint may be moved or copied."""
        said = super().identity
        name = {} if self._is_folder else {"model": self.model}
        return {"sampling": said["sampling"], "revision": self._revision, "dtype": self.dtype, **name}

    @property
    def _is_folder(self) -> bool:
        return Path(self.model).is_dir()

    async def __aenter__(self) -> HF:
        if self._door:
            self._door.users += 1
            return self
        revision = None if self._is_folder else self._revision
        worker = Worker(lambda: load(self.model, revision, self.device, self.dtype), self.batch_size)
        worker.start()
        try:
            checkpoint = await asyncio.wrap_future(worker.loaded)
        except BaseException:
            worker.close()
            raise
        object.__setattr__(self, "_door", _Door(worker, checkpoint))
        return self

    async def __aexit__(self, *exc: object) -> None:
        door = self._door
        if door is None:
            return
        door.users -= 1
        if door.users == 0:
            object.__setattr__(self, "_door", None)
            door.worker.close()
            await asyncio.to_thread(door.worker.join)

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        n: int = 1,
        stop: Sequence[str] = (),
        ban: Sequence[str] = (),
        logprobs: bool = False,
        seed: int | None = None,
        as_drawn: AsDrawn | None = None,
        **sampling: Any,
    ) -> list[Completion]:
        """n turns, each drawn with the seed `sample_seed(seed, i)`. A ban holds in every tokenisation.

        The token that ends the turn counts among the output tokens. Log-probabilities are the model's own, at
        temperature 1, before top_k, top_p and bans. A turn that fills the context has finish "length".
        A character that the length cuts is not in the text; its tokens count and have log-probabilities.
        """
        rendered = self.checkpoint.render(messages, prefix)
        how: dict[str, Any] = {"n": n, "stop": stop, "ban": ban, "logprobs": logprobs, "seed": seed}
        return await self.go_on(rendered, prefix, as_drawn=as_drawn, **how, **sampling)

    async def go_on(
        self,
        rendered: tuple[str, str],
        prefix: str,
        *,
        n: int = 1,
        stop: Sequence[str] = (),
        ban: Sequence[str] = (),
        logprobs: bool = False,
        seed: int | None = None,
        as_drawn: AsDrawn | None = None,
        **sampling: Any,
    ) -> list[Completion]:
        """As `chat`, after a prompt as the checkpoint's `render` gives it; prefix: the begun turn in it."""
        door = self._opened()
        how = self.sampling(sampling)
        ends, not_said = tuple(filter(None, stop)), tuple(filter(None, ban))

        def draw(ids: list[int], limit: int, seed: int) -> Awaitable[Drawn]:
            job = Draw(ids, limit, how, seed, ends, not_said, prefix)
            return asyncio.wrap_future(door.worker.submit(job))

        asked: dict[str, Any] = {"n": n, "logprobs": logprobs, "seed": seed, "as_drawn": as_drawn}
        return await door.checkpoint.turns(draw, rendered, prefix, max_tokens=how.max_tokens, **asked)

    async def score(
        self,
        messages: Sequence[Message],
        text: str,
        *,
        prefix: str = "",
        entropy: bool = False,
        top_k: int = 0,
        rank: bool = False,
    ) -> TokenScores:
        """How probable the model finds `text` after the messages and the begun turn, token by token."""
        checkpoint = self._opened().checkpoint
        prompt, _ = checkpoint.render(messages, prefix)
        asked = checkpoint.continued(prompt, text)
        return await self.score_ids(*asked, entropy=entropy, top_k=top_k, rank=rank)

    async def score_ids(
        self,
        ids: list[int],
        text_ids: list[int],
        offsets: list[tuple[int, int]],
        *,
        entropy: bool = False,
        top_k: int = 0,
        rank: bool = False,
    ) -> TokenScores:
        """As `score`, of tokens with their offsets, after one or more tokens `ids`."""
        if not text_ids:
            spread, best, ranks = (() if asked else None for asked in (entropy, top_k, rank))
            return TokenScores((), (), (), (), spread, best, ranks)
        door = self._opened()
        door.checkpoint.room(len(ids) + len(text_ids), 0, "prompt and text")
        job = Scoring(ids, text_ids, offsets, entropy, top_k, rank)
        return await asyncio.wrap_future(door.worker.submit(job))

    async def opened(self, messages: Sequence[Message]) -> str:
        """The tag with which the chat template itself begins the thinking of the next turn, if it does."""
        return self._opened().checkpoint.render(messages, "")[1]

    async def count_tokens(self, text: str) -> int:
        """How many tokens a text is by itself."""
        return len(self._opened().checkpoint.ids(text))

    @property
    def checkpoint(self) -> Checkpoint:
        """What is loaded, for who serves it: its tokenizer and chat template."""
        return self._opened().checkpoint

    def _opened(self) -> _Door:
        if self._door is None:
            raise RuntimeError("the engine is closed; use it inside `async with engine`")
        return self._door
