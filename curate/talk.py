"""A conversation in anybody's form becomes what was sent and what was answered."""

from __future__ import annotations

from typing import Any, NamedTuple

ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
KINDS = {
    bool: "a boolean",
    list: "a list",
    dict: "an object",
    int: "a number",
    float: "a number",
    str: "a text",
}


class BadRow(ValueError):
    """Why an input row cannot become one of ours."""


class Talk(NamedTuple):
    """A conversation: what was sent, and the assistant's last turn where it ends with one."""

    name: str  # the column it came from
    turns: list[dict[str, Any]]  # as they stood there
    sent: list[dict[str, str]]
    thinking: str | None
    response: str | None


def is_talk(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and ("role" in turn or "from" in turn) for turn in value)
    )


def read_turns(name: str, turns: Any) -> Talk:
    if not is_talk(turns):
        raise BadRow(f"{name} is {kind_of(turns)}, not a list of messages with role and content")
    sent = []
    for i, turn in enumerate(turns):
        role = str(turn.get("role") or turn.get("from"))
        content = turn.get("content") if turn.get("content") is not None else turn.get("value")
        if isinstance(content, list) and all(
            isinstance(p, dict) and isinstance(p.get("text"), str) for p in content
        ):
            content = "".join(part["text"] for part in content)
        if content is not None and not isinstance(content, str):
            raise BadRow(f"{name}[{i}] has {kind_of(content)} for its content, not a text")
        sent.append({"role": ROLES.get(role, role), "content": content or ""})
    if sent[-1]["role"] != "assistant":
        return Talk(name, turns, sent, None, None)
    last = turns[-1]
    thinking = next(
        (last[k] for k in ("thinking", "reasoning_content", "reasoning") if isinstance(last.get(k), str)),
        None,
    )
    return Talk(name, turns, sent[:-1], thinking, sent[-1]["content"])


def kind_of(value: Any) -> str:
    return KINDS.get(type(value), f"a {type(value).__name__}")
