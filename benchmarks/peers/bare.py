"""The bare engines: what an engine makes of a run's requests, given all at once and without a pipeline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from peers.busy import WatchedHF, WatchedVLLM

from curate.engines.sampling import completion
from curate.step import Completion


def generated(engine: WatchedHF, asked: Sequence[Any], batch: int) -> float:
    """Tokens a second of transformers' own `generate`, the model loaded as the engine loads it."""
    import torch

    from curate.engines.hf_checkpoint import load

    loaded = load(engine.model, None, None, engine.dtype)
    texts = sorted(
        (loaded.render(messages, "")[0] for messages, _ in asked), key=lambda t: len(loaded.ids(t))
    )
    tokens, begin = 0, time.perf_counter()
    for i in range(0, len(texts), batch):
        inputs = loaded.tokenizer(
            texts[i : i + batch],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=False,
        )
        inputs = {k: inputs[k] for k in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            out = loaded.model.generate(
                **inputs,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=engine.max_tokens,
            )
        for row in out[:, inputs["input_ids"].shape[1] :].tolist():
            ends = [k for k, token in enumerate(row) if token in loaded.ends]
            tokens += ends[0] + 1 if ends else len(row)
    return tokens / (time.perf_counter() - begin)


async def vllm_alone(engine: WatchedVLLM, asked: Sequence[Any], reads: bool) -> tuple[float, set[str]]:
    """Tokens a second of AsyncLLM.generate, open and started as by the engine; and what was said.

    reads: vLLM turns tokens into text and copies the options, as by itself; or neither, as it is asked by the
    engine, and each answer is read at its end. Prompts come as tokens, named so, which takes vLLM the least.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    door = engine._door
    assert door is not None
    rendered = [door.checkpoint.render(messages, "") for messages, _ in asked]
    ids = [door.checkpoint.ids(prompt) for prompt, _ in rendered]

    async def one(i: int) -> tuple[str, int]:
        params = SamplingParams(
            temperature=1.0, seed=asked[i][1]["seed"], max_tokens=engine.max_tokens,
            output_kind=RequestOutputKind.FINAL_ONLY, skip_special_tokens=False,
            spaces_between_special_tokens=False, detokenize=reads, skip_clone=not reads,
        )  # fmt: skip
        prompt = {"type": "token", "prompt_token_ids": ids[i]}
        async for said in door.llm.generate(prompt, params, request_id=str(i)):
            answer = said
        said = answer.outputs[0]
        ids_said = said.token_ids[: len(said.token_ids) - (said.finish_reason == "stop")]
        return said.text if reads else door.checkpoint.words.text(ids_said), len(said.token_ids)

    assert await door.llm.reset_prefix_cache()
    begin = time.perf_counter()
    found = await asyncio.gather(*(one(i) for i in range(len(asked))))
    seconds = time.perf_counter() - begin
    assert await door.llm.reset_prefix_cache()
    answers = [
        completion(text, "stop", prefix="", opened=opened, prompt_tokens=0, output_tokens=tokens)
        for (text, tokens), (_, opened) in zip(found, rendered, strict=True)
    ]
    return sum(tokens for _, tokens in found) / seconds, spoken(answers)


def spoken(answers: Sequence[Completion]) -> set[str]:
    """What answers say, to be compared."""
    return {str((c.thinking, c.response, c.output_tokens)) for c in answers}
