"""The step: a frozen dataclass that says what it reads, what it writes, and one body.

A body is an expression (`expr`: free, fused into the plan), a row function (`row`: CPU, in a worker process
that can be killed, remembered), a question to a model (`ask`: money, remembered), or a look at the whole
table (`mark`). The role (Verifier, Score, Filter, Rewriter) only fixes what the value means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args

import polars as pl

from curate.errors import RunError, UserError, near, written
from curate.fields import check_fields
from curate.fits import checked, storable
from curate.identity import describe
from curate.schema import SPANS, VERDICT, content_hash

Message = dict[str, str]
Why = Literal[
    "equal", "different", "no_answer", "several_answers", "no_gold", "gold_invalid", "unsupported",
    "limit", "timeout", "memory", "crashed", "unsafe",
    "met", "not_met",  # a check of form: instructions, thinking blocks
    "wrong_answer", "output_limit", "runtime_error", "syntax_error", "blocked", "weak_isolation",  # programs
    "refused", "unreadable_judge", "orders_disagree",  # a judge: not asked, not understood, not steady
    "too_few_votes", "tie",  # a majority that is none
]  # fmt: skip
"""The closed vocabulary of a verdict's `why`; after it may follow `: ` and a short text."""
WHYS = frozenset(get_args(Why))
OF_GOLD = ("no_gold", "gold_invalid", "unsupported")  # another text would be judged no better


class Verdict(NamedTuple):
    """What a verifier says of one row. `passed` None abstains: it neither fails a trace nor passes one."""

    passed: bool | None
    why: str
    extracted: str | None = None
    score: float | None = None


class Text(NamedTuple):
    """The text of a child trace. `output_tokens` is None where nobody counted."""

    thinking: str | None
    response: str
    output_tokens: int | None = None
    spans: Sequence[Mapping[str, Any]] | None = None  # of a rewriter with `owners`: labelled with the owner


@dataclass(frozen=True)
class Completion:
    """One answer of a model, the begun turn (`prefix`) included in `thinking` and `response`.

    text: what the model itself wrote, raw, after the prefix. logprobs: one natural logarithm per output
    token. stopped: the stop string it ended before, "" where it ended by itself, None: not told. ids: of a
    begun turn that is not over, the tokens of text and `stopped` as drawn, which `chat` takes back as
    as_drawn=(characters, ids) of the end of a prefix; None: no whole tokens, or not told.
    """

    thinking: str | None
    response: str
    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    output_tokens: int
    logprobs: tuple[float, ...] | None = None
    stopped: str | None = None
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class TokenScores:
    """Teacher-forced scores of a stored text, one entry per token of it, in order.

    start, end: character offsets into the text; logprob, entropy: natural logarithms (nats). On request, top:
    the k most probable (token id, log-probability) pairs; rank: 1 for the likeliest token at its place.
    prompt_tokens: those of the messages and the begun turn, which were read before the text; 0: not told.
    """

    ids: tuple[int, ...]
    start: tuple[int, ...]
    end: tuple[int, ...]
    logprob: tuple[float, ...]
    entropy: tuple[float, ...] | None = None
    top: tuple[tuple[tuple[int, float], ...], ...] | None = None
    rank: tuple[int, ...] | None = None
    prompt_tokens: int = 0


class Engine(Protocol):
    """A model behind a door: `async with engine as e: await e.chat(...)`; `loads`: it may stay open. Raises
    EngineDown when no call can succeed, CallFailed when this one did not."""

    model: str

    @property
    def fingerprint(self) -> str: ...
    def describe(self) -> dict[str, Any]: ...
    async def __aenter__(self) -> Engine: ...
    async def __aexit__(self, *exc: object) -> None: ...
    async def chat(
        self, messages: Sequence[Message], *, prefix: str = "", n: int = 1, stop: Sequence[str] = (),
        ban: Sequence[str] = (), logprobs: bool = False, seed: int | None = None, **sampling: Any,
    ) -> list[Completion]: ...  # fmt: skip


def user(content: str, system: str | None = None) -> list[Message]:
    """The messages of a single user turn."""
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": content}]


@dataclass(frozen=True)
class Step:
    """One thing that happens to a table of traces. Subclass a role below, not this."""

    not_identity: ClassVar[tuple[str, ...]] = ()  # fields that do not change an answer
    version: ClassVar[int] = 1  # raise it when equal fields would now give another answer
    reads: ClassVar[tuple[str, ...]] = ()  # the columns the answer depends on, and nothing else
    takes: ClassVar[Mapping[str, str]] = {}  # fields that name columns, with what those hold (columns.HOLDS)
    examples: ClassVar[Sequence[tuple[Any, Any]]] = ()  # (row or rows, expected): run by tests/test_rooms.py
    example_fields: ClassVar[Mapping[str, Any]] = {}  # fields that have no default, for the examples
    replies: ClassVar[Sequence[str]] = ()  # what the scripted engine says, for the examples of an `ask`

    def __post_init__(self) -> None:
        """Holds the fields to what they say; a step's own checks begin with `super().__post_init__()`."""
        check_fields(self)

    @property
    def name(self) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def writes(self) -> dict[str, Any]:
        """The columns of one answer, with their dtypes."""
        return {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns this step needs: `reads`, and whatever its fields name."""
        return self.reads

    def depends_on(self, row: Mapping[str, Any]) -> Sequence[Any]:
        """What the answer to this row depends on, all of `columns`: of equal rows only one is asked."""
        return [row[c] for c in self.columns]

    def rounds(self, row: Mapping[str, Any]) -> int:
        """About how many answers this row waits for, one after another: rows with most are begun first."""
        return 1

    @property
    def body(self) -> Literal["expr", "row", "ask", "mark"]:
        """The one body this step defines."""
        found = [b for b in ("expr", "row", "ask", "mark") if callable(getattr(type(self), b, None))]
        if len(found) != 1:
            raise UserError(f"{type(self).__name__} must define one of expr, row, ask, mark; it has {found}")
        return found[0]  # type: ignore[return-value]

    @property
    def fingerprint(self) -> str:
        """A hash of name, version and every field that counts."""
        return content_hash(self.name, self.version, describe(self, identity_only=True))[:12]

    def pack(self, value: Any) -> dict[str, Any]:
        """One value of the body as the columns in `writes`."""
        raise NotImplementedError  # every role below answers this


@dataclass(frozen=True)
class Verifier(Step):
    """Adds one column named after itself: a three-valued verdict. Never drops, never edits.

    `row` and `ask` answer a Verdict, `expr` a struct like schema.VERDICT, `mark` a frame of `row` and that.
    """

    reflexive: ClassVar[str | None] = None  # how a gold (%s) is written as a response, which must pass

    def __call__(self, *unnamed: Any, **row: Any) -> Verdict:
        """The verdict on one pair, under the same limits as in a run, from anywhere. Columns that are not
        given are null. Repeats are answered from a bounded cache.

        >>> MathEqual()(response=r"so \boxed{1/2}", answer="0.5").passed
        True
        """
        from curate.pair import verdict_of

        return verdict_of(self, unnamed, row)

    @property
    def needs_gold(self) -> bool:
        """Whether it abstains wherever there is no gold answer."""
        return self.reflexive is not None

    @property
    def writes(self) -> dict[str, Any]:
        return {self.name: VERDICT}

    def pack(self, value: Verdict) -> dict[str, Any]:
        if not isinstance(value, Verdict):
            raise RunError(f"{self.name} answered {value!r}{written(self, self.body)}; it answers a Verdict")
        if (word := str(value.why).partition(":")[0]) not in WHYS:
            raise RunError(f"{self.name} answered why={value.why!r}, no word of Why; {near(word, WHYS)}")
        fields = {field: storable(said) for field, said in value._asdict().items()}
        return checked(self.name, self.writes, {self.name: fields})


@dataclass(frozen=True)
class Score(Step):
    """Adds measured columns. Never drops, never edits. A body answers {column: value}."""

    def pack(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(value, Mapping) or set(value) != set(self.writes):
            said = sorted(map(str, value)) if isinstance(value, Mapping) else value
            raise RunError(f"{self.name} answered {said!r}; it answers the columns {sorted(self.writes)}")
        return checked(self.name, self.writes, value)


@dataclass(frozen=True)
class Filter(Step):
    """Says why a row goes; null means it stays. Never edits.

    `expr` answers a string expression. `mark(frame)` looks at the whole table: it is given `row` (an index)
    and the columns this step needs, and answers a LazyFrame of `row` and `why` for the rows that go.
    """


@dataclass(frozen=True)
class Rewriter(Step):
    """Bears a child trace, or None where the trace stays. The parent is set aside as "rewritten"."""

    owners: ClassVar[bool] = False  # whether children have the column `spans`: who wrote which characters

    @property
    def writes(self) -> dict[str, Any]:
        texts = {"thinking": pl.String, "response": pl.String, "output_tokens": pl.Int64}
        return {"child": pl.Struct(texts | ({"spans": SPANS} if self.owners else {}))}

    def pack(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Text | None):
            raise RunError(f"{self.name} answered {value!r}; a rewriter answers a Text, or None")
        texts = self.writes["child"]
        child = None if value is None else {f: getattr(value, f) for f in texts.to_schema()}
        return checked(self.name, {"child": texts}, {"child": child})
