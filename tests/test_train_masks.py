"""The trainer learns what the assistant said, all of it and nothing else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sums import THOUGHT, talk
from tiny_model import TEMPLATE, THINKING_TEMPLATE

from curate.errors import InputError
from curate.losses.cross_entropy import cross_entropy
from curate.train.data import LABELS, _conversation
from curate.train.model import load_model, load_tokenizer, logits
from curate.train.render import Conversation, encode

QWEN_LIKE = (  # keeps the thinking of the last turn, and cuts it out of the history
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "{% set c = m['content'] %}{% set t = m.get('reasoning_content', '') %}"
    "{% if '</think>' in c %}{% set t = c.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "<|im_start|>assistant\n{% if loop.last %}<think>\n{{ t.strip('\n') }}\n</think>\n\n{% endif %}"
    "{{ c }}<|im_end|>\n"
    "{% else %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


@pytest.fixture
def templated(tiny_model: Path):
    """A tokenizer with a template of the test's own."""

    def make(template: str):
        tokenizer = load_tokenizer(tiny_model)
        tokenizer.chat_template = template
        return tokenizer

    return make


def learnt(tokenizer, row: dict, tmp_path: Path | None = None) -> str:
    """The text of the tokens that one row teaches."""
    spans = [s for s in row.get("spans", ()) if s["label"] in LABELS]
    (found,) = encode(tokenizer, [Conversation("row 1", row["messages"], row.get("first", 0), spans)])
    return tokenizer.decode(found.ids[found.learn])


def test_the_assistant_turn_and_its_end_are_learnt_and_nothing_else(tokenizer) -> None:
    assert learnt(tokenizer, talk("What is 2 + 2?", THOUGHT)) == THOUGHT + "<|im_end|>"
    assert learnt(tokenizer, talk("a", "b", "c", THOUGHT, "d")) == "b<|im_end|>" + THOUGHT + "<|im_end|>"
    assert learnt(tokenizer, talk("a", "b", "c", THOUGHT) | {"first": 2}) == THOUGHT + "<|im_end|>"


def test_what_the_generation_prompt_opens_is_not_learnt(templated) -> None:
    text = learnt(templated(THINKING_TEMPLATE), talk("What is 2 + 2?", THOUGHT))
    assert text == THOUGHT.removeprefix("<think>\n") + "<|im_end|>"


def test_an_empty_thinking_that_the_template_adds_is_learnt(templated) -> None:
    text = learnt(templated(QWEN_LIKE), talk("a", "b", "c", "d"))
    assert text == "b<|im_end|><think>\n\n</think>\n\nd<|im_end|>"


def test_thinking_in_a_key_of_its_own_is_learnt_where_the_template_renders_it(templated, tokenizer) -> None:
    row = talk("What is 2 + 2?", "4")
    row["messages"][1]["reasoning_content"] = "2 + 2 is 4."
    assert learnt(templated(QWEN_LIKE), row) == "<think>\n2 + 2 is 4.\n</think>\n\n4<|im_end|>"
    with pytest.raises(InputError, match="drops or alters '2 \\+ 2 is 4.' in assistant turn 2"):
        learnt(tokenizer, row)


@settings(max_examples=60, deadline=None)
@given(question=st.text(max_size=30), thinking=st.text(max_size=60), response=st.text(max_size=30))
def test_law_everything_the_assistant_says_is_learnt(tokenizer, question, thinking, response) -> None:
    assume((thinking + response).strip() and "<" not in thinking + response)
    said = f"<think>\n{thinking}\n</think>\n\n{response}" if thinking else response
    text = learnt(tokenizer, talk(question, said))
    assert text.removesuffix("<|im_end|>").strip() == said.strip()
    assert text.endswith("<|im_end|>")


def test_special_tokens_inside_a_turn_do_not_end_it(tokenizer) -> None:
    said = "The token <|im_end|> ends a turn, <|im_start|> begins one."
    assert learnt(tokenizer, talk("What is <|im_end|>?", said)) == said + "<|im_end|>"


def test_masked_spans_are_seen_but_not_learnt(tokenizer) -> None:
    spans = [
        {"field": "thinking", "start": 12, "end": 26, "label": "mask", "value": None},
        {"field": "response", "start": 0, "end": 7, "label": "mask", "value": None},
        {"field": "thinking", "start": 0, "end": 12, "label": "step", "value": None},
    ]
    text = learnt(tokenizer, talk("What is 2 + 2?", THOUGHT, spans=spans))
    assert text == "<think>\n2 + 2 is 4.\n\n</think>\n\n4}<|im_end|>"
    with pytest.raises(
        InputError, match="a span masks 'thought', but the answer has only thinking and response"
    ):
        learnt(tokenizer, talk("a", THOUGHT, spans=[spans[0] | {"field": "thought"}]))


def learn(field: str, start: int, end: int) -> dict:
    return {"field": field, "start": start, "end": end, "label": "learn", "value": None}


def test_where_spans_are_to_be_learnt_nothing_else_is(tokenizer) -> None:
    def of(*spans: dict) -> str:
        return learnt(tokenizer, talk("What is 2 + 2?", THOUGHT, spans=list(spans)))

    assert of(learn("thinking", 0, 12)) == "<think>\n2 + 2 is 4.\n"
    assert of(learn("thinking", 12, 26)) == "Wait, it is 4."
    assert of(learn("response", 0, 9)) == "\n</think>\n\n\\boxed{4}<|im_end|>"
    mask = {"field": "response", "start": 0, "end": 7, "label": "mask", "value": None}
    assert of(learn("response", 0, 9), mask) == "\n</think>\n\n4}<|im_end|>"
    turns = talk("a", "b", "c", THOUGHT, spans=[learn("thinking", 12, 26)])
    assert learnt(tokenizer, turns) == "Wait, it is 4."
    with pytest.raises(InputError, match="a span learns 'thought', but the answer has only thinking and"):
        of(learn("thought", 0, 2))


@settings(max_examples=60, deadline=None)
@given(
    thinking=st.text(min_size=1, max_size=60),
    response=st.text(min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
def test_law_spans_that_part_a_turn_among_rows_learn_every_token_once(
    tokenizer, thinking, response, cuts
) -> None:
    assume(thinking.strip() and response.strip() and "<" not in thinking + response)
    said = f"<think>\n{thinking}\n</think>\n\n{response}"
    marks = sorted({0, len(thinking), *(c for c in cuts if c < len(thinking))})
    spans = [learn("thinking", a, b) for a, b in pairwise(marks)] + [learn("response", 0, len(response))]
    turns, texts = talk("?", said)["messages"], {"thinking": thinking, "response": response}
    (whole,) = encode(tokenizer, [_conversation({"messages": turns}, "row 1")])
    rows = [_conversation({"messages": turns, "spans": [s], **texts}, "row 1") for s in spans]
    times = sum(row.learn.astype(int) for row in encode(tokenizer, rows))
    assert times.tolist() == whole.learn.astype(int).tolist()


def test_a_chunk_learnt_in_its_whole_row_has_the_gradient_of_a_row_that_ends_with_it(
    tiny_model: Path, tokenizer
) -> None:
    """The label mask of chunk-wise training (Skip-Thinking, arXiv:2505.18642), to 1e-6."""
    net = load_model(tiny_model, seed=0)
    spans = [learn("thinking", 12, 26)]
    (row,) = encode(tokenizer, [Conversation("row 1", talk("2 + 2?", THOUGHT)["messages"], 0, spans)])
    ids, chunk = torch.tensor(row.ids, dtype=torch.int64)[None], torch.tensor(row.learn)[None]
    places = torch.arange(ids.shape[1])[None]
    (cross_entropy(logits(net, ids, places), ids, chunk) / chunk.sum()).backward()
    masked = {n: p.grad.clone() for n, p in net.named_parameters()}
    net.zero_grad()
    first, last = int(chunk[0].nonzero().min()), int(chunk[0].nonzero().max())
    assert chunk[0, first : last + 1].all() and 0 < first < last < ids.shape[1] - 5
    target = torch.where(torch.arange(last + 1) < first, -100, ids[0, : last + 1])[None]
    net(input_ids=ids[:, : last + 1], labels=target).loss.backward()  # transformers' own
    for name, parameter in net.named_parameters():
        assert torch.allclose(masked[name], parameter.grad, atol=1e-6), name
    assert max(g.abs().max() for g in masked.values()) > 1e-3


REFUSED = [
    (
        "{{ m['content'].split('</think>')[-1] }}<|im_end|>",
        "drops or alters '2 \\+ 2 is 4.*' in assistant turn 2",
    ),
    (
        "{{ m['content'] | replace('Wait', 'So') }}<|im_end|>",
        "drops or alters '2 \\+ 2 is 4.*' in assistant turn 2",
    ),
    ("{{ m['content'] }}", "ends assistant turn 2 with no special token"),
    ("{{ raise_exception('no') }}", "row 1: the chat template refuses the conversation: no"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_a_template_that_does_not_say_what_the_row_says_is_refused(
    templated, body: str, message: str
) -> None:
    template = TEMPLATE.replace("{{ m['content'] }}<|im_end|>", body)
    with pytest.raises(InputError, match=message):
        learnt(templated(template), talk("What is 2 + 2?", THOUGHT))


def test_history_without_its_thinking_is_refused(templated) -> None:
    with pytest.raises(InputError, match="drops or alters .* in assistant turn 2"):
        learnt(templated(QWEN_LIKE), talk("What is 2 + 2?", THOUGHT, "And 3?", "9"))


def test_a_row_that_begins_otherwise_than_the_generation_prompt_is_refused(templated) -> None:
    with pytest.raises(InputError, match="writes '<think>\\\\n' at inference and .4<"):
        learnt(templated(THINKING_TEMPLATE), talk("What is 2 + 2?", "4"))
