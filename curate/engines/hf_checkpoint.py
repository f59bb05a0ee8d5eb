"""A checkpoint, on disk and loaded: what identifies it, its chat template, and how long its context is."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curate.engines.hf_jobs import Drawn
from curate.engines.hf_words import Words
from curate.engines.sampling import AsDrawn, completion, opening, opens, sample_seed
from curate.errors import Refused, TooLong, UserError
from curate.step import Completion, Message

_CONTENT = (
    "config.json",
    "generation_config.json",  # names the tokens that end a turn
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "chat_template*",
    "*.safetensors",
    "pytorch_model*.bin",
)
"""The files that a checkpoint's answers depend on; others (a README, a trainer's state) do not count."""


def revision_of(model: str, revision: str | None) -> str:
    """What stays the same as long as the checkpoint does: a hash of its files, or the hub's commit."""
    folder = Path(model)
    if folder.is_dir():
        return _hash(_files(folder))
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise UserError(f"there is no model folder {model!r}, nor is that a hub id like 'Qwen/Qwen3-0.6B'.")
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    cached = try_to_load_from_cache(model, "config.json", revision=revision)
    if isinstance(cached, str):
        return Path(cached).parent.name
    try:
        return HfApi().model_info(model, revision=revision).sha or "main"
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, _no_network()) as e:
        words = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise UserError(
            f"the model {model!r} is not a folder, not downloaded, and not to be had from the hub: {words}"
        ) from None


def _no_network() -> type[Exception]:
    """What huggingface_hub lets through where there is no network: its HTTP library's own error."""
    from huggingface_hub.utils import _http

    library = getattr(_http, "httpx2", None) or getattr(_http, "httpx")  # noqa: B009 - which, depends on its age
    error: type[Exception] = library.TransportError
    return error


def _files(folder: Path) -> list[Path]:
    if not (folder / "config.json").is_file():
        said = f"the folder {str(folder)!r} is not a checkpoint: it has no config.json"
        raise UserError(f"{said}; name the folder that save_pretrained wrote, or a hub id.")
    return sorted({file for pattern in _CONTENT for file in folder.glob(pattern) if file.is_file()})


def _hash(files: Sequence[Path]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for file in files:
        with file.open("rb") as f:
            part = hashlib.file_digest(f, lambda: hashlib.blake2b(digest_size=16))
        whole.update(f"{file.name}\0{part.hexdigest()}\n".encode())
    return whole.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """A model with its tokenizer. ends: the tokens that end a turn. context: None without a limit.

    model: None where vLLM holds it; the prompts are then still those of the `hf` engine, token by token.
    """

    name: str
    model: Any
    tokenizer: Any
    ends: frozenset[int]
    context: int | None

    @cached_property
    def words(self) -> Words:
        """What its tokens say."""
        return Words(self.tokenizer)

    def render(self, messages: Sequence[Message], prefix: str) -> tuple[str, str]:
        """The prompt up to where the model goes on, and the tag with which the template opened its thinking.

        The begun turn stands after the generation prompt as if the model had written it: a template asked to
        continue a message may cut its thinking out or trim it.
        """
        from jinja2 import TemplateError

        render = self.tokenizer.apply_chat_template
        try:
            prompt = render(list(messages), tokenize=False, add_generation_prompt=True)
        except TemplateError as e:
            roles = ", ".join(m["role"] for m in messages)
            raise UserError(f"the chat template of {self.name!r} refuses messages of {roles}: {e}") from e
        opened = opening(prompt)
        begun = prompt.removesuffix(opened) if opens(prefix) else prompt
        return begun + prefix, opened

    def ids(self, text: str) -> list[int]:
        """The tokens of a rendered prompt; the template has already put what stands at its start."""
        return self.words.ids(text)

    def room(self, tokens: int, wanted: int, what: str) -> int:
        """How many tokens the context holds beyond these; where that is less than wanted, this call fails."""
        if self.context is None:
            return 1 << 62
        if self.context - tokens < wanted:
            room = f"the context of {self.name!r} holds {self.context}"
            raise TooLong(f"{what} has {tokens} tokens and {room}: shorten it, or take another model.")
        return self.context - tokens

    async def turns(
        self,
        draw: Callable[[list[int], int, int], Awaitable[Drawn]],
        rendered: tuple[str, str],
        prefix: str,
        *,
        n: int,
        max_tokens: int | None,
        logprobs: bool,
        seed: int | None,
        as_drawn: AsDrawn | None = None,
    ) -> list[Completion]:
        """n samples at once, `draw(tokens of the prompt, the most new tokens, seed)` each, as Completions."""
        prompt, opened = rendered
        characters, own = as_drawn or (0, ())
        if not 0 <= characters <= len(prefix):
            raise UserError(f"as_drawn: the prefix does not end with {characters} characters of its own.")
        ids = [*self.ids(prompt[: len(prompt) - characters]), *own]
        if not ids:
            raise Refused(f"the prompt is empty, and {self.name!r} goes on from a token at least.")
        limit = min(self.room(len(ids), 1, "the prompt"), max_tokens or 1 << 62)
        first = secrets.randbits(48) if seed is None else seed
        drawn = await asyncio.gather(*(draw(ids, limit, sample_seed(first, i)) for i in range(n)))
        same: dict[str, Any] = {"prefix": prefix, "opened": opened, "prompt_tokens": len(ids)}
        return [
            completion(d.text, d.finish, **same, output_tokens=d.output_tokens, stopped=d.stopped,
                       logprobs=d.logprobs if logprobs else None, ids=d.ids if prefix else None)
            for d in drawn
        ]  # fmt: skip

    def continued(self, prompt: str, text: str) -> tuple[list[int], list[int], list[tuple[int, int]]]:
        """The tokens of a prompt, those of the text after it, and the text's character offsets.

        Tokenised as one, unless a token would straddle the seam: then apart, as if the model had gone on.
        """
        if not getattr(self.tokenizer, "is_fast", True):
            raise UserError(
                f"the tokenizer of {self.name!r} tells no character offsets, so its scores cannot be placed; "
                "put a tokenizer.json into the folder (save_pretrained of a fast tokenizer writes it)."
            )
        before = self.ids(prompt)
        if text and not before:
            raise Refused(f"the prompt is empty, and {self.name!r} scores what stands behind a token.")
        whole = self.tokenizer(prompt + text, add_special_tokens=False, return_offsets_mapping=True)
        n, offsets = len(before), whole["offset_mapping"]
        if whole["input_ids"][:n] == before and (n == len(offsets) or offsets[n][0] >= len(prompt)):
            placed = [(a - len(prompt), b - len(prompt)) for a, b in offsets[n:]]
            return before, whole["input_ids"][n:], placed
        apart = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return before, apart["input_ids"], [tuple(o) for o in apart["offset_mapping"]]


def load(name: str, revision: str | None, device: str | None, dtype: str) -> Checkpoint:
    """Read a checkpoint into memory. revision: a hub commit, None for a folder."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    if not hasattr(torch, dtype):
        raise UserError(f"dtype={dtype!r} is not one of torch's; use 'bfloat16' or 'float32'.")
    if Path(name).is_dir():
        _files(Path(name))
    device = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        model = AutoModelForCausalLM.from_pretrained(name, revision=revision, dtype=getattr(torch, dtype))
    except (OSError, ValueError, RuntimeError, SafetensorError) as e:  # of another shape; cut off
        raise _unreadable(name, e) from e
    tokenizer = load_tokenizer(name, revision)
    try:
        model = model.eval().to(device)
    except torch.OutOfMemoryError as e:
        size = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**30
        raise UserError(
            f"{name!r} does not fit: its weights take {size:.1f} GiB in {dtype}, more than {device!r} has; "
            f"take a larger GPU, a smaller checkpoint, or vllm:{name} over several (tensor_parallel_size=2)."
        ) from e
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return Checkpoint(name, model, tokenizer, _ends(model, tokenizer), context)


def _usable(device: str) -> str:
    """The device, if torch can use it here; else one sentence, before anything is read."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as e:  # torch asserts that it was built for the device
        words = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
        raise UserError(f"torch cannot use {device=} here: {words}; use 'cpu', or leave it out.") from e
    return device


def load_tokenizer(name: str, revision: str | None) -> Any:
    """The tokenizer alone, with a chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as e:
        raise _unreadable(name, e) from e
    if not tokenizer.chat_template:
        raise UserError(
            f"the model {name!r} has no chat template, so it cannot be talked to; "
            "use an instruction-tuned model, or put a chat_template.jinja into its folder."
        )
    tokenizer.model_max_length = 1 << 62  # the engine compares with the context itself, and says more
    return tokenizer


def _unreadable(name: str, error: Exception) -> UserError:
    said = str(error).strip() or type(error).__name__
    first = said.splitlines()[0].rstrip()
    words = " ".join(said.split())[:300] if first.endswith(":") else first  # a list follows on other lines
    return UserError(f"the checkpoint {name!r} cannot be loaded: {words}")


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    said = [tokenizer.eos_token_id, getattr(model.generation_config, "eos_token_id", None)]
    return frozenset(i for s in said for i in (s if isinstance(s, list) else [s]) if i is not None)
