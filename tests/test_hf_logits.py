"""Scores of models whose logits are more than a projection, or that read with a state: as one plain forward
pass gives them."""

from __future__ import annotations

from typing import Any

import pytest

from curate.engines.hf_jobs import Scoring

TINY = dict(vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, initializer_range=0.4)  # fmt: skip
MAMBA = dict(mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1, mamba_chunk_size=4)
SCALED = {
    "Gemma2": dict(head_dim=8, sliding_window=4, final_logit_softcapping=2.0),
    "Cohere": dict(logit_scale=0.25),
    "Cohere2": dict(logit_scale=0.25, sliding_window=4),
    "Granite": dict(logits_scaling=8.0),
    "GraniteMoeHybrid": dict(MAMBA, logits_scaling=8.0, layer_types=["linear_attention", "full_attention"],
                             num_local_experts=2, num_experts_per_tok=1, shared_intermediate_size=48),
    "FalconH1": dict(MAMBA, mamba_d_ssm=64, head_dim=8, lm_head_multiplier=4.0),
    "RecurrentGemma": dict(lru_width=32, attention_window_size=4, logits_soft_cap=0.2,
                           block_types=["recurrent", "attention"]),
}  # fmt: skip
PLAIN = {
    "FalconH1 unscaled": dict(MAMBA, mamba_d_ssm=64, head_dim=8),  # states beside keys and values, everywhere
    "Zamba2": dict(layers_block_type=["linear_attention", "hybrid"], mamba_d_state=8, chunk_size=4),
    "Mamba2": dict(num_heads=8, head_dim=8, state_size=8, n_groups=1, chunk_size=4, expand=2),
}  # fmt: skip
PROMPT = [5, 6, 7, 8, 9, 10, 11]
JOBS = {
    "one prompt": [(PROMPT, [20, 21, 22, 23, 24, 25, 26]), (PROMPT, [30]), (PROMPT, [40, 41, 42])],
    "several prompts": [(PROMPT, [20, 21, 22]), ([5], [30, 31, 32, 33, 34, 35, 36, 37]), (PROMPT[2:], [40])],
}


@pytest.fixture(scope="module", params=[*SCALED, *PLAIN])
def model(request: pytest.FixtureRequest) -> Any:
    import torch
    import transformers

    known = SCALED | PLAIN
    torch.manual_seed(0)
    name = request.param.split()[0]
    config = getattr(transformers, f"{name}Config")(**{**TINY, **known[request.param]})
    made = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    made.scaled = request.param in SCALED
    return made


def plain(model: Any, prompt: list[int], text: list[int], project: bool = False) -> list[float]:
    """From one forward pass over one text; `project`: from the head alone, whatever the model makes of it."""
    import torch

    ids = torch.tensor([prompt + text])
    with torch.inference_mode():
        if project:
            logits = model.get_output_embeddings()(model.base_model(ids, use_cache=False).last_hidden_state)
        else:
            logits = model(ids, use_cache=False).logits
    chances = logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
    return chances.gather(-1, torch.tensor(text)[:, None])[:, 0].tolist()


@pytest.mark.parametrize("cells", [1, 200, 1 << 22])
@pytest.mark.parametrize("prompts", JOBS)
def test_scores_are_the_models_own(
    model: Any, prompts: str, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.engines import hf_score

    monkeypatch.setattr(hf_score, "_CELLS", {"cpu": cells})
    monkeypatch.setattr("curate.engines.hf_project.TILE", {"cpu": (3, 40)})
    for way in {hf_score.plain_head(model), None}:
        jobs = [Scoring(ids, text, [(0, 0)] * len(text), True, 2) for ids, text in JOBS[prompts]]
        hf_score.score(model, way, jobs)
        for job in jobs:
            own = plain(model, job.ids, job.text_ids)
            assert list(job.future.result().logprob) == pytest.approx(own, abs=1e-4)


def test_the_head_alone_would_say_something_else(model: Any) -> None:
    """Else the test above would show nothing."""
    from curate.engines.hf_score import plain_head

    prompt, text = JOBS["one prompt"][0]
    both = zip(plain(model, prompt, text), plain(model, prompt, text, True), strict=True)
    apart = [abs(a - b) for a, b in both]
    assert (max(apart) > 0.05) == model.scaled
    assert plain_head(model) is (None if model.scaled else model.get_output_embeddings())
