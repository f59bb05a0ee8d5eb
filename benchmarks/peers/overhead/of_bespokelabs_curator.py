"""Curator: `LLM` over HTTP, which is all it takes: a server of our own on this machine, its cache on."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from task import CONCURRENCY, Task, question, run

# No network: prices and the table of tokens are those that litellm brings along.
TOKENS = Path(sysconfig.get_path("purelib"), "litellm", "litellm_core_utils", "tokenizers")
os.environ |= {"TELEMETRY_ENABLED": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "none"}
os.environ["TIKTOKEN_CACHE_DIR"] = str(TOKENS)


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    from bespokelabs import curator

    class Answer(curator.LLM):
        def prompt(self, input: dict[str, Any]) -> str:
            return input["question"]

        def parse(self, input: dict[str, Any], response: str) -> dict[str, Any]:
            return {"question": input["question"], "answer": response}

    asked = [{"question": question(i)} for i in range(task.rows)]
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(task.delay_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        told: dict[str, Any] = {
            "base_url": server.stdout.readline().strip(),
            "max_concurrent_requests": CONCURRENCY,
        }
        told |= {"max_requests_per_minute": 10**8, "max_tokens_per_minute": 10**11}
        answer = Answer("gpt-4o-mini", backend="openai", backend_params=told)
        table = answer(asked, working_dir=str(task.folder)).dataset
    finally:
        server.kill()
        server.wait()
    return lambda: zip(table["question"], table["answer"], strict=True)


if __name__ == "__main__":
    run(work)
