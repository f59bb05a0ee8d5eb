"""The student as a folder: opened, checked before any step is paid for, and saved so that `from_pretrained` loads it."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)
WEIGHTS = ("*.safetensors", "*.bin")


def find_model(model: str | Path) -> Path:
    """The folder of a model: a local one, or the hub's snapshot of a name like `Qwen/Qwen3-0.6B`."""
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise InputError(f"the model folder {str(model)!r} holds no config.json")
        return folder
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(model)):
        raise InputError(f"there is no model folder {str(model)!r}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(model)))
    except (OSError, ValueError) as e:
        reason = str(e).strip().splitlines()[0]
        raise InputError(
            f"there is no model folder {str(model)!r}, and the hub gave no model of that name: {reason}"
        ) from None


def has_weights(folder: Path) -> bool:
    """Whether there is something to load; a folder without weights is a model still to be born."""
    return any(any(folder.glob(kind)) for kind in WEIGHTS)


def model_files(folder: Path) -> list[Path]:
    """The files that make the model what it is."""
    return sorted({p for kind in ("*.json", "*.jinja", "*.model", *WEIGHTS) for p in folder.glob(kind)})


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer beside the model; it must have a chat template and know where its tokens stand."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as e:
        raise InputError(
            f"the tokenizer in {folder} cannot be loaded: {str(e).strip().splitlines()[0]}"
        ) from None
    if not tokenizer.chat_template:
        raise InputError(
            f"the tokenizer in {folder} has no chat template; put a chat_template.jinja there, such as that of "
            "the instruct model of the same family"
        )
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer in {folder} is a slow one without character offsets; save it as a fast one"
        )
    return tokenizer


def load_model(folder: Path, seed: int) -> PreTrainedModel:
    """The model in float32, the precision of the master weights; from its config and the seed where it has none."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    if has_weights(folder):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    log.warning("%s holds no weights: the model starts at random, from its config and seed %d", folder, seed)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)


def context(folder: Path) -> int | None:
    """How many tokens the model was made for, or None where its config does not say."""
    from transformers import AutoConfig

    return getattr(AutoConfig.from_pretrained(folder).get_text_config(), "max_position_embeddings", None)


def logits(net: PreTrainedModel, ids: Tensor, positions: Tensor) -> Tensor:
    """[B, T, V]. No attention mask and no cache: with either, documents in a pack would see each other."""
    if str(net.config._attn_implementation).startswith("flash"):  # its varlen kernels want one long row
        flat = net(input_ids=ids.view(1, -1), position_ids=positions.view(1, -1), use_cache=False).logits
        return flat.view(*ids.shape, -1)
    return net(input_ids=ids, position_ids=positions, use_cache=False).logits


def check_packing(net: PreTrainedModel) -> None:
    """Raise where the second document of a pack can see the first (a recurrent layer, a home-made mask)."""
    import torch

    ids = torch.arange(1, 7, device=net.device).repeat(2, 1)
    ids[1, :3] = 7  # another first document, the same second one
    positions = torch.tensor([0, 1, 2, 0, 1, 2], device=net.device).repeat(2, 1)
    was_training = net.training
    net.eval()
    with torch.no_grad():
        first, second = logits(net, ids, positions)[:, 3:].float()
    net.train(was_training)
    if (first - second).abs().max() > 1e-3 * first.std():
        raise InputError(
            f"documents in one pack would see each other in a {type(net).__name__}; train it with packing=False"
        )


@contextlib.contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seeds torch inside; the caller's random numbers go on afterwards as if nothing had happened."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
