"""data-juicer: `llm_perplexity_filter` over a local checkpoint, sample by sample as its executor calls it.

    python of_data_juicer.py CHECKPOINT TEXTS ROUNDS

TEXTS is a JSON list of prompts and texts. The last line that is printed is JSON: the seconds of each round,
and the mean negative log-probability of each text, in nats a token.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

from data_juicer.ops.filter.llm_perplexity_filter import LLMPerplexityFilter
from data_juicer.utils.constant import Fields, StatsKeys

checkpoint, texts, rounds = sys.argv[1:]
asked = json.loads(Path(texts).read_text(encoding="utf-8"))
step = LLMPerplexityFilter(hf_model=checkpoint, query_template="{prompt}")


def perplexity(prompt: str, text: str) -> float:
    sample = {"prompt": prompt, "text": text, Fields.stats: {}}
    return float(step.compute_stats_single(sample)[Fields.stats][StatsKeys.llm_perplexity])


perplexity(*asked[0])
seconds, nats = [], []
for _ in range(int(rounds)):
    start = time.perf_counter()
    nats = [math.log(perplexity(prompt, text)) for prompt, text in asked]
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": seconds, "nats": nats}))
