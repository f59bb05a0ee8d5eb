"""An input row in anybody's columns becomes rows in ours; what has no place in ours is kept in `extra`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from curate.schema import ROW, problem_id, to_json, trace_id
from curate.talk import BadRow, Talk, is_talk, kind_of, read_turns
from curate.text import fault, split_thinking

ALIASES: dict[str, tuple[str, ...]] = {
    "question": ("problem", "prompt", "instruction"),
    "answer": ("expected_answer", "ground_truth", "gold", "final_answer"),
    "license": ("licence",),
    "source_id": ("id", "uuid", "problem_id"),
    "messages": ("conversations",),
    "response": ("generations", "generation", "output", "completion"),
    "thinking": ("reasoning_content",),
    "finish": ("finish_reason",),
    "output_tokens": ("completion_tokens",),
}
"""Our column, then the names it goes by elsewhere: the exact name is preferred, then the order here."""

_NAMES = {name: (name, *ALIASES.get(name, ())) for name in ROW}
_ANY_NAME = {name: frozenset(names) for name, names in _NAMES.items()}
COLUMNS = tuple(name for name in ROW if name not in ("problem_id", "trace_id", "extra"))
"""What an input can give; the ids are computed and `extra` is the rest."""

FINISH = {
    "stop": ("stop", "eos", "eos_token", "end_turn", "stop_sequence"),
    "length": ("length", "max_tokens", "max_length", "max_output_tokens"),
    "error": ("error", "content_filter"),
}
INTS = ("sample", "prompt_tokens", "output_tokens")
LABELS = ("solution", "domain", "source", "source_id", "license", "parent_id", "model")
_PLAIN = frozenset((*LABELS, *INTS, "finish"))
_ANY_PLAIN = frozenset(name for target in _PLAIN for name in _NAMES[target])
_TALKS = dict.fromkeys(("prompt", *_NAMES["messages"]))  # in order


def to_rows(values: Mapping[str, Any], mapped: Mapping[str, Any], source: str | None) -> list[dict[str, Any]]:
    """The rows of one input row: one for each of its generations, or one.

    mapped: values that the caller assigned to our columns; they win. source: for a row that names none.
    Raises BadRow with the reason.
    """
    rest = dict(values)
    own = _own_extra(rest)
    talk = _talk(rest, mapped)
    row: dict[str, Any] = dict.fromkeys(ROW)
    row["question"] = _question(rest, mapped, talk)
    row["problem_id"] = problem_id(row["question"])
    if rest.get("problem_id") == row["problem_id"]:
        del rest["problem_id"]  # our own table, read again
    row["answer"] = _answer(*_take(rest, mapped, "answer"))
    _fill_plain(row, rest, mapped)
    row["source"] = row["source"] or source
    row["messages"] = talk.sent if talk else None
    thinking = _text(*_take(rest, mapped, "thinking"))
    texts: list[str | None] = [*_responses(rest, mapped)]
    if talk and talk.response is not None:
        if texts:
            rest[talk.name] = talk.turns  # another column has the response, so this one must not be lost
        else:
            texts, thinking = [talk.response], thinking or talk.thinking
    if len(texts) < 2:
        return [_trace(row, {**own, **rest}, thinking, texts[0] if texts else None)]
    return [_trace({**row, "sample": i}, {**own, **rest}, thinking, text) for i, text in enumerate(texts)]


def _trace(
    row: dict[str, Any], extra: dict[str, Any], thinking: str | None, response: str | None
) -> dict[str, Any]:
    """`row` with its text, its extra and its id; thinking inside the response is cut out without loss."""
    row["thinking"], row["response"] = thinking, response
    if response is not None and not thinking:
        split = split_thinking(response)
        if split.thought is not None:
            row["thinking"], row["response"] = split.thinking, split.response
            extra = {**extra, "delimiters": [split.opening, split.closing, split.ending]}
    _check_text(row)
    if row["thinking"] is not None or row["response"] is not None:
        row["trace_id"] = trace_id(row)
        if extra.get("trace_id", "") == row["trace_id"]:
            extra = {k: v for k, v in extra.items() if k != "trace_id"}
    row["extra"] = to_json(extra)
    return row


def _take(rest: dict[str, Any], mapped: Mapping[str, Any], target: str) -> tuple[str, Any]:
    """Remove our column from the input, under the first name that has a value; the name, and the value."""
    if target in mapped:
        return target, mapped[target]
    if _ANY_NAME[target].isdisjoint(rest):
        return target, None
    names = [name for name in _NAMES[target] if name in rest]
    for name in names:
        if rest[name] is not None and (name == target or _fits(target, rest[name])):
            return name, rest.pop(name)
    for name in names:
        if rest[name] is None:
            del rest[name]
    return target, None


def _fits(target: str, value: Any) -> bool:
    """Whether the value of an alias can be meant: `output` may be anything, `completion` may be a count."""
    if target == "response":
        return isinstance(value, (str, list))
    return target not in ("thinking", "question") or isinstance(value, str)


def _question(rest: dict[str, Any], mapped: Mapping[str, Any], talk: Talk | None) -> str:
    columns = sorted(rest)
    name, value = _take(rest, mapped, "question")
    if value is None and talk:
        users = [i for i, turn in enumerate(talk.sent) if turn["role"] == "user"]
        first = next((i for i in reversed(users) if i - 1 not in users), 0)
        value = "\n\n".join(talk.sent[i]["content"] for i in users if i >= first)
    if value is None:
        looked = ", ".join(("question", *ALIASES["question"], "messages", *ALIASES["messages"]))
        raise BadRow(
            f"no question: the columns are {', '.join(columns) or 'none'}, and I looked for {looked}; "
            "name the column with question=…, on the command line as FILE?question=…"
        )
    if not isinstance(value, str):
        raise BadRow(
            f"the question ({name}) is {kind_of(value)}; name a text column with question=…, on the command "
            "line as FILE?question=…"
        )
    if not value.strip():
        raise BadRow(f"the question ({name}) is empty")
    more = rest.get("input")
    if name == "instruction" and isinstance(more, str) and more:  # Alpaca's two halves of one question
        return f"{value}\n\n{more}"
    return value


def _answer(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise BadRow(
        f"the answer ({name}) is {kind_of(value)}; map it with answer=…, on the command line as FILE?answer=…"
    )


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise BadRow(f"{name} is {kind_of(value)}, not a text")


def _responses(rest: dict[str, Any], mapped: Mapping[str, Any]) -> list[str]:
    name, value = _take(rest, mapped, "response")
    if isinstance(value, list) and not is_talk(value):
        texts = [_response(f"{name}[{i}]", each) for i, each in enumerate(value)]
    else:
        texts = [] if value is None else [_response(name, value)]
    return texts


def _response(name: str, value: Any) -> str:
    if is_talk(value):
        value = read_turns(name, value).response
    if not isinstance(value, str):
        raise BadRow(f"{name} is {kind_of(value)}, not a text; map it with response=…")
    return value


def _fill_plain(row: dict[str, Any], rest: dict[str, Any], mapped: Mapping[str, Any]) -> None:
    """Labels and counts; a value that cannot be one stays in `rest`, and so goes to extra."""
    if _ANY_PLAIN.isdisjoint(rest) and _PLAIN.isdisjoint(mapped):
        return
    for target in LABELS:
        name, value = _take(rest, mapped, target)
        if value is None or isinstance(value, str):
            row[target] = value
        elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            row[target] = str(value)
        else:
            rest[name] = value
    for target in INTS:
        name, value = _take(rest, mapped, target)
        row[target] = _whole(value)
        if value is not None and row[target] is None:
            rest[name] = value
    name, value = _take(rest, mapped, "finish")
    row["finish"] = next((k for k, said in FINISH.items() if str(value).lower() in said), None)
    if value != row["finish"]:
        rest[name] = value


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) < 2**63 else None


def _talk(rest: dict[str, Any], mapped: Mapping[str, Any]) -> Talk | None:
    """Take the conversation out of `rest`: a prompt of messages, or `messages`, or `conversations`."""
    if "messages" in mapped:
        return read_turns("messages", mapped["messages"])
    if _TALKS.keys().isdisjoint(rest):
        return None
    for name in _TALKS:
        if name in rest and rest[name] is None:
            del rest[name]
        if is_talk(rest.get(name)):
            turns = rest.pop(name)
            talk = read_turns(name, turns)
            if any(set(turn) - {"role", "content", "from", "value"} for turn in turns):
                rest[name] = turns  # tool calls, weights and the like have no place in ours
            return talk
    return None


def _own_extra(rest: dict[str, Any]) -> dict[str, Any]:
    """Take an `extra` that we wrote, so that reading a table twice does not wrap it twice."""
    if "extra" not in rest:
        return {}
    extra = rest["extra"]
    if isinstance(extra, str) and extra.startswith("{"):
        try:
            extra = json.loads(extra)
        except ValueError:
            return {}
    if extra is None or isinstance(extra, dict):
        del rest["extra"]
    return extra if isinstance(extra, dict) else {}


def _check_text(row: dict[str, Any]) -> None:
    said = [turn["content"] for turn in row["messages"] or ()]
    if not fault("".join([*said, *[value for value in row.values() if isinstance(value, str)]])):
        return  # all of them at once: nearly every row is sound
    for name, value in [*row.items(), *(("messages", text) for text in said)]:
        if isinstance(value, str) and (why := fault(value)):
            raise BadRow(f"{why} in {name}")
