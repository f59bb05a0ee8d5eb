"""The student is opened from its folder and checked before any step is paid for."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

WEIGHTS = ("*.safetensors", "*.bin")


def find_model(model: str | Path) -> Path:
    """The folder of a model: a local one, or the hub's snapshot of a name like `Qwen/Qwen3-0.6B`."""
    folder = Path(model)
    if (folder / "config.json").is_file():
        return folder
    if folder.exists():
        raise InputError(f"the model folder {str(model)!r} holds no config.json")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(model)):
        raise InputError(f"there is no model folder {str(model)!r}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(model)))
    except (OSError, ValueError) as e:
        raise InputError(
            f"there is no model folder {str(model)!r}, and the hub gave none of that name: {_first_line(e)}"
        ) from None


def model_files(folder: Path) -> list[Path]:
    """The files that make the model what it is, sorted."""
    return sorted({p for kind in ("*.json", "*.jinja", "*.model", *WEIGHTS) for p in folder.glob(kind)})


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer beside the model; it must have a chat template and know where its tokens stand."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as e:
        raise InputError(f"the tokenizer in {folder} cannot be loaded: {_first_line(e)}") from None
    if not tokenizer.chat_template:
        raise InputError(
            f"the tokenizer in {folder} has no chat template; put a chat_template.jinja there, such as that "
            "of the instruct model of the same family"
        )
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer in {folder} gives no character offsets; save it as a fast tokenizer")
    return tokenizer


def load_config(folder: Path) -> Any:
    """The model's config."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as e:
        raise InputError(f"the config in {folder} cannot be loaded: {_first_line(e)}") from None


def load_model(folder: Path, seed: int) -> PreTrainedModel:
    """The model in float32, the precision of the master weights; drawn at random where it has no weights."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    config = load_config(folder)
    if not any(any(folder.glob(kind)) for kind in WEIGHTS):
        log.warning("%s holds no weights: the model starts from random ones, seed %d", folder, seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    try:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, SafetensorError) as e:
        raise InputError(f"the model in {folder} cannot be loaded: {_first_line(e)}") from None


def student(
    folder: Path, tokenizer: PreTrainedTokenizerBase, seed: int, packing: bool, gradient_checkpointing: bool
) -> PreTrainedModel:
    """The model on its device, ready to learn; raises where it does not fit its tokenizer or cannot pack."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = load_model(folder, seed).to(device)  # type: ignore[arg-type]
    known = net.get_input_embeddings().num_embeddings
    if len(tokenizer) > known:
        raise InputError(f"the tokenizer in {folder} has {len(tokenizer):,} tokens, the model only {known:,}")
    if packing:
        check_packing(net)
    if gradient_checkpointing:
        enable = getattr(net, "activation_checkpointing_enable", None)  # what newer transformers call it
        (enable or net.gradient_checkpointing_enable)({"use_reentrant": False})
    return net.train()


def logits(net: PreTrainedModel, ids: Tensor, positions: Tensor) -> Tensor:
    """[B, T, V]. With an attention mask or a cache, the documents of a pack would see each other."""
    return net(input_ids=ids, position_ids=positions, use_cache=False).logits


def check_packing(net: PreTrainedModel) -> None:
    """Raise where the second document of a pack can see the first (a recurrent layer, a home-made mask)."""
    import torch

    ids = torch.arange(1, 7, device=net.device).repeat(2, 1)
    ids[1, :3] = 7  # another first document before the same second one
    positions = torch.tensor([0, 1, 2, 0, 1, 2], device=net.device).repeat(2, 1)
    with torch.no_grad():
        one, other = logits(net.eval(), ids, positions)[:, 3:]
    if (one - other).abs().max() > 1e-3 * one.std():
        raise InputError(
            f"in a {type(net).__name__} the documents of a pack would see each other; pass packing=False "
            "(--no-packing)"
        )


def save_student(
    net: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, out: Path, dtype: str, ends: frozenset[int]
) -> None:
    """Write model, tokenizer and chat template to `out`; `generate` will stop at the tokens in `ends`."""
    import torch

    if net.generation_config is not None:  # a base model's own eos is often not what ends a chat turn
        eos = net.generation_config.eos_token_id
        known = set(eos if isinstance(eos, list) else [eos]) - {None}
        net.generation_config.eos_token_id = eos if ends <= known else sorted(known | ends)
    net.to(dtype=getattr(torch, dtype)).save_pretrained(out)  # type: ignore[call-arg]
    tokenizer.save_pretrained(out)


@contextlib.contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Torch is seeded inside; outside, the caller's random numbers go on as if nothing had happened."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _first_line(e: Exception) -> str:
    return (str(e).strip() or type(e).__name__).splitlines()[0]
