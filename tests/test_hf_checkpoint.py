"""A checkpoint is known by its content, and one that cannot be talked to is a sentence."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_model as tiny
from served import work

from curate.engines.hf import HF
from curate.engines.hf_checkpoint import _unreadable
from curate.errors import UserError
from curate.step import user

HELLO = user("What is 2 + 2?")


@pytest.fixture(scope="module")
def here(tiny_model: Path) -> HF:
    return HF(str(tiny_model), dtype="float32", device="cpu")


def test_thinking_that_the_template_opens_is_thinking(here: HF, tmp_path: Path) -> None:
    model = shutil.copytree(here.model, tmp_path / "thinking")
    (model / "chat_template.jinja").write_text(tiny.THINKING_TEMPLATE)
    engine = HF(str(model), dtype="float32")
    [[cut], [begun], [done]] = work(
        engine,
        ("chat", {"seed": 1, "max_tokens": 5}),
        ("chat", {"seed": 1, "max_tokens": 5, "prefix": "<think>\n"}),
        ("chat", {"seed": 1, "max_tokens": 5, "prefix": "Two.\n</think>\n\n"}),
    )
    assert cut.thinking and cut.thinking == cut.text.lstrip() and cut.response == ""
    assert begun.text == cut.text and begun.prompt_tokens == cut.prompt_tokens
    assert done.thinking == "Two." and done.response == done.text.lstrip()


def test_a_checkpoint_counts_by_its_content(here: HF, tmp_path: Path) -> None:
    copy = shutil.copytree(here.model, tmp_path / "copy")
    (copy / "README.md").write_text("moved")
    assert HF(str(copy), dtype="float32").fingerprint == here.fingerprint
    (copy / "chat_template.jinja").write_text(tiny.THINKING_TEMPLATE)
    assert HF(str(copy), dtype="float32").fingerprint != here.fingerprint


def test_a_template_that_refuses_is_a_sentence(here: HF, tmp_path: Path) -> None:
    model = shutil.copytree(here.model, tmp_path / "strict")
    (model / "chat_template.jinja").write_text("{{ raise_exception('no system role') }}")
    with pytest.raises(UserError, match="refuses messages of system, user: no system role"):
        work(HF(str(model)), ("chat", {"messages": user("hi", system="be brief")}))


def test_an_error_that_says_nothing_is_named() -> None:
    assert str(_unreadable("m", OSError())).endswith("'m' cannot be loaded: OSError")


def test_a_model_that_is_not_one_is_a_sentence(here: HF, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model folder './nowhere'"):
        work(HF("./nowhere"), ("chat", {}))
    with pytest.raises(UserError, match="'some/model' is not a folder, not downloaded, and not to be had"):
        work(HF("some/model"), ("chat", {}))
    with pytest.raises(UserError, match="is not a checkpoint: it has no config.json"):
        work(HF(str(tmp_path)), ("chat", {}))
    bare = shutil.copytree(here.model, tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"bare' cannot be loaded: [^\n]{40,}$"):
        work(HF(str(bare)), ("chat", {}))
    cut = shutil.copytree(here.model, tmp_path / "cut")
    os.truncate(cut / "model.safetensors", 5_000)
    with pytest.raises(UserError, match=r"cut' cannot be loaded: .*(incomplete|header|Header)"):
        work(HF(str(cut)), ("chat", {}))
    mute = shutil.copytree(here.model, tmp_path / "mute")
    (mute / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="has no chat template.*use an instruction-tuned model"):
        work(HF(str(mute)), ("chat", {}))
    config = json.loads((mute / "config.json").read_text())
    (mute / "config.json").write_text(json.dumps({**config, "model_type": "nonsense"}))
    with pytest.raises(UserError, match="cannot be loaded"):
        work(HF(str(mute)), ("chat", {}))
    with pytest.raises(UserError, match="dtype='float33' is not one of torch's"):
        work(HF(here.model, dtype="float33"), ("chat", {}))
    with pytest.raises(RuntimeError, match="the engine is closed"):
        asyncio.run(here.chat(HELLO))


@pytest.mark.parametrize("device", ["banana", "xla"])
def test_a_device_that_is_not_there_is_a_sentence(here: HF, device: str) -> None:
    with pytest.raises(UserError, match=f"torch cannot use device='{device}' here: .*; use 'cpu'"):
        work(replace(here, device=device), ("chat", {}))


def test_weights_that_do_not_fit_are_a_sentence(here: HF, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import PreTrainedModel

    def full(self: Any, device: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(PreTrainedModel, "to", full)
    with pytest.raises(UserError, match="does not fit: its weights take 0.0 GiB in float32, .* a larger GPU"):
        work(here, ("chat", {}))
