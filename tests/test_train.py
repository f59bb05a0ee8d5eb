"""A student learns from a folder, and always to the same bits, whatever interrupts it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sums import THOUGHT, fit, talk, write

from curate.errors import InputError, Interrupted, RunError
from curate.train import sft, train


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same_bits(a: Path, b: Path) -> bool:
    return (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()


def test_a_student_says_what_it_was_taught_and_stops(tiny_model: Path, tmp_path: Path, capsys) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    data = write(tmp_path / "one.jsonl", [talk("What is 2 + 2?", THOUGHT)])
    report = train(
        data,
        model=tiny_model,
        output_dir=tmp_path / "out",
        max_steps=40,
        learning_rate=5e-3,
        optimizer="muon",
    )
    assert report.steps == len(report.losses) == 40 and report.losses[-1] < 0.1 < report.losses[0]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    prompt = tokenizer.apply_chat_template(
        talk("What is 2 + 2?")["messages"], add_generation_prompt=True, return_tensors="pt"
    )
    said = net.generate(**prompt, do_sample=False, max_new_tokens=100)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(said) == THOUGHT + "<|im_end|>"
    assert "1 rows: 0 dropped, 0 split" in capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "train.json").read_text())
    assert record["losses"] == report.losses and record["arguments"]["learning_rate"] == 5e-3
    assert record["tokens"] == vars(report.tokens) and len(record["fingerprints"]["data"]) == 32
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == []  # no scratch is left


def test_accumulation_is_the_big_batch(tiny_model: Path, tmp_path: Path) -> None:
    big = fit(tiny_model, tmp_path, "big", batch_size=6)
    cut = fit(tiny_model, tmp_path, "cut", batch_size=2, gradient_accumulation_steps=3)
    assert cut.losses == pytest.approx(big.losses, abs=1e-5)
    a, b = weights(tmp_path / "big"), weights(tmp_path / "cut")
    assert all(torch.allclose(a[k], b[k], atol=2e-5) for k in a)


def test_packing_and_checkpointing_change_nothing_but_the_cost(tiny_model: Path, tmp_path: Path) -> None:
    plain = fit(tiny_model, tmp_path, "plain", batch_size=12)
    packed = fit(tiny_model, tmp_path, "packed", batch_size=12, packing=True)
    spared = fit(tiny_model, tmp_path, "spared", batch_size=12, gradient_checkpointing=True)
    assert packed.tokens == plain.tokens  # all rows are in every step, in whatever order
    assert packed.losses == pytest.approx(plain.losses, abs=1e-5)
    assert spared.losses == pytest.approx(plain.losses, abs=1e-6)
    a, b = weights(tmp_path / "plain"), weights(tmp_path / "packed")
    assert all(torch.allclose(a[k], b[k], atol=2e-5) for k in a)


def test_bfloat16_computes_and_saves_in_half_the_bytes(tiny_model: Path, tmp_path: Path) -> None:
    full, half = fit(tiny_model, tmp_path, "full"), fit(tiny_model, tmp_path, "half", dtype="bfloat16")
    assert half.losses != full.losses and half.losses == pytest.approx(full.losses, abs=0.05)
    assert {t.dtype for t in weights(tmp_path / "half").values()} == {torch.bfloat16}


def test_a_model_without_weights_is_drawn_with_the_seed(tiny_model: Path, tmp_path: Path, caplog) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fit(bare, tmp_path, "a")
    assert torch.rand(1) == expected  # the caller's random numbers are left alone
    fit(bare, tmp_path, "b")
    fit(bare, tmp_path, "c", seed=1)
    assert same_bits(tmp_path / "a", tmp_path / "b") and not same_bits(tmp_path / "a", tmp_path / "c")
    assert "holds no weights: the model starts from random ones, seed 0" in caplog.text


def test_generate_stops_where_the_student_learnt_to(tiny_model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"  # a base model whose own end is another token than the template's
    shutil.copytree(tiny_model, base)
    (base / "generation_config.json").write_text('{"eos_token_id": 0}')
    fit(base, tmp_path, max_steps=1)
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] == [0, 2]


def test_a_finished_training_is_not_paid_twice(tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    first = fit(tiny_model, tmp_path)
    monkeypatch.setattr(sft, "update", None)
    assert fit(tiny_model, tmp_path) == first
    with pytest.raises(
        InputError, match="learning_rate=0.001, and this run has 0.002; choose another output_dir"
    ):
        fit(tiny_model, tmp_path, learning_rate=2e-3)
    with pytest.raises(InputError, match="was made with data="):
        fit(tiny_model, tmp_path, count=13)


@pytest.fixture
def dropping(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with dropout, so that its training draws random numbers."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "dropping"))
    config = json.loads((folder / "config.json").read_text()) | {"attention_dropout": 0.2}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_ctrl_c_finishes_the_step_saves_and_goes_on_to_the_same_bits(dropping, tmp_path, monkeypatch) -> None:
    whole = fit(dropping, tmp_path, "whole", max_steps=7, optimizer="muon")
    real, taken = sft.update, []

    def interrupted(*arguments):
        taken.append(1)
        if len(taken) == 3:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    before = signal.getsignal(signal.SIGINT)
    with (
        monkeypatch.context() as patch,
        pytest.raises(Interrupted, match="after step 3 of 7; run it again to go on"),
    ):
        patch.setattr(sft, "update", interrupted)
        fit(dropping, tmp_path, max_steps=7, optimizer="muon")
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "out" / "model.safetensors").exists()
    with pytest.raises(InputError, match="the checkpoint in .* was made with seed=0, and this run has 1"):
        fit(dropping, tmp_path, max_steps=7, optimizer="muon", seed=1)
    resumed = fit(dropping, tmp_path, max_steps=7, optimizer="muon")
    assert resumed.losses == whole.losses and same_bits(tmp_path / "whole", tmp_path / "out")
    assert not (tmp_path / "out" / "checkpoint.pt").exists()
    anew = fit(dropping, tmp_path, max_steps=7, optimizer="muon", resume=False)
    assert anew.losses == whole.losses


def test_ctrl_c_before_the_first_step_is_one_sentence(tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sft, "tokenize", interrupted)
    with pytest.raises(Interrupted, match="run it again to go on"):
        fit(tiny_model, tmp_path)


STALL = """
import sys, time
sys.path[:0] = {path}
import torch
from pathlib import Path
from curate.train import sft
from sums import fit

real, taken = sft.update, []

def update(*arguments):
    taken.append(1)
    if len(taken) == 6:
        time.sleep(600)
    return real(*arguments)

torch.set_num_threads(1)
sft.update = update
fit(Path({model!r}), Path({out!r}), "killed", max_steps=8, save_steps=2)
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(tiny_model: Path, tmp_path: Path) -> None:
    path = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
    code = STALL.format(path=path, model=str(tiny_model), out=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    saved = tmp_path / "killed" / "checkpoint.pt"
    while not saved.exists() and child.poll() is None:
        time.sleep(0.005)
    child.kill()
    child.wait()
    done = torch.load(saved, weights_only=True)["losses"]
    assert len(done) in (2, 4)
    whole = fit(tiny_model, tmp_path, "whole", max_steps=8)
    resumed = fit(tiny_model, tmp_path, "killed", max_steps=8, save_steps=2)
    assert resumed.losses == whole.losses and resumed.losses[: len(done)] == done
    assert same_bits(tmp_path / "whole", tmp_path / "killed")


def test_a_loss_that_is_no_number_stops_the_run(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the loss became (nan|inf); try a lower learning_rate"):
        fit(tiny_model, tmp_path, learning_rate=1e30, warmup_steps=0)
