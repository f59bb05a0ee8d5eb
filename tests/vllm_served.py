"""vLLM for tests: one running engine that many engine objects share, and vLLM's own server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from served import healthy

from curate.engines.vllm import VLLM

QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}


def need_vllm() -> None:
    """Skip where vLLM cannot be imported; what it warns of while it is imported is its own affair.

    `make test-vllm` sets CURATE_NEEDS_VLLM: there the import that fails is the failure.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("vllm.v1.engine.async_llm")
        except ImportError as e:
            if os.environ.get("CURATE_NEEDS_VLLM"):
                raise
            pytest.skip(f"vLLM is not installed here, `make test-vllm` installs it: {e}")


@dataclass(frozen=True)
class Lent(VLLM):
    """Opens at once: its questions go to an engine that runs in another thread. Only sampling may differ."""

    running: VLLM = field(kw_only=True, repr=False, compare=False)
    loop: asyncio.AbstractEventLoop = field(kw_only=True, repr=False, compare=False)

    async def __aenter__(self) -> Lent:
        object.__setattr__(self, "_door", self.running._door)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """The engine goes on running."""

    async def _ask(self, ids: list[int], **asked: Any) -> Any:
        there = self.running._ask(ids, **asked)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there, self.loop))


@contextlib.contextmanager
def vllm_running(model: Path) -> Iterator[Any]:
    """A function that makes engines, closed, with the options given; vLLM is started once."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    engine = VLLM(str(model), dtype="float32")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asyncio.run_coroutine_threadsafe(engine.__aenter__(), loop).result()
        try:
            yield lambda **options: Lent(
                engine.model, dtype=engine.dtype, running=engine, loop=loop, **options
            )
        finally:
            asyncio.run_coroutine_threadsafe(engine.__aexit__(), loop).result()
            with warnings.catch_warnings():  # sockets that it leaves to be collected
                warnings.simplefilter("ignore")
                gc.collect()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def vllm_serving(model: Path, *more: str) -> Iterator[str]:
    """The address of vLLM's own server, in a process of its own."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--dtype", "float32", "--enforce-eager"]
    command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "2048"]
    command += ["--kv-cache-memory-bytes", str(1 << 30), "--generation-config", "vllm", *more]
    with healthy(command, **QUIET) as url:
        yield url
