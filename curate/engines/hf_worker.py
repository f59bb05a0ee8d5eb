"""One thread that owns a loaded checkpoint and works off what is waiting, in batches of like length."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from curate.engines.hf_checkpoint import Checkpoint
from curate.engines.hf_jobs import Draw, Job, Scoring
from curate.errors import CallFailed

_GATHER_S = 0.003  # what is asked within this time of the first request goes into the first batch
_MASK_CELLS = 1 << 28  # rows x length x length of one attention mask
_SHARE = 0.5  # of the free memory, for the cache


class Worker(threading.Thread):
    """`loaded` holds the checkpoint once it is read, or the reason why it cannot be."""

    def __init__(self, load: Callable[[], Checkpoint], batch_size: int | None) -> None:
        super().__init__(name="hf-engine", daemon=True)
        self.loaded: Future[Checkpoint] = Future()
        self._load, self._batch_size = load, batch_size
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self._closing = False

    def submit(self, job: Job) -> Future[Any]:
        """The future of the job's answer; cancelling it takes the job out."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Stop after the present token; what is still waiting is cancelled."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def run(self) -> None:
        try:
            checkpoint = self._load()
        except BaseException as e:  # noqa: BLE001  the one who opens the engine is in another thread
            self.loaded.set_exception(e)
            return
        self.loaded.set_result(checkpoint)
        while self._wait():
            time.sleep(_GATHER_S)
            batch = self._take(checkpoint)
            try:
                self._work(checkpoint, batch)
            except Exception as e:  # noqa: BLE001  the callers wait in another thread: it is theirs to raise
                for job in batch:
                    job.fail(e)
        for job in self._waiting:
            job.future.cancel()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return not self._closing

    def _work(self, checkpoint: Checkpoint, batch: Sequence[Job]) -> None:
        """Answer a batch; one that does not fit into the GPU is done in halves."""
        import torch

        try:
            self._answer(checkpoint, batch)
        except torch.OutOfMemoryError as e:
            torch.cuda.empty_cache()
            left = [job for job in batch if not job.future.done()]
            if len(left) == 1:
                left[0].fail(
                    CallFailed(f"{left[0].longest} tokens do not fit into the memory of the GPU: {e}")
                )
            for half in (left[: len(left) // 2], left[len(left) // 2 :]) if len(left) > 1 else ():
                self._work(checkpoint, half)

    def _answer(self, checkpoint: Checkpoint, batch: Sequence[Job]) -> None:
        from curate.engines.hf_decode import Batch, decode
        from curate.engines.hf_score import score

        scorings = [job for job in batch if isinstance(job, Scoring)]
        draws = [job for job in batch if isinstance(job, Draw)]
        if scorings:
            score(checkpoint.model, scorings)
        if draws:
            joined: list[Draw] = []

            def more(free: int) -> Sequence[Draw]:
                new = [job for job in self._take(checkpoint, Draw, free) if isinstance(job, Draw)]
                joined.extend(new)
                return new

            for draw in draws:
                draw.restart()
            first = Batch(checkpoint.model, checkpoint.tokenizer, checkpoint.ends, draws)
            try:
                decode(first, more, self._size(checkpoint, draws), lambda: self._closing)
            except BaseException as e:
                for job in joined:
                    job.fail(e)
                raise

    def _take(self, checkpoint: Checkpoint, kind: type[Job] = Job, most: int | None = None) -> list[Job]:
        """The longest waiting jobs of one kind, as many as fit together."""
        with self._changed:
            self._waiting = [job for job in self._waiting if not job.cancelled]
            able = sorted((j for j in self._waiting if isinstance(j, kind)), key=lambda j: -len(j.ids))
            able = [job for job in able if type(job) is type(able[0])]
            taken = able[: min(self._size(checkpoint, able), most or len(able))] if able else []
            gone = set(map(id, taken))
            self._waiting = [job for job in self._waiting if id(job) not in gone]
            return taken

    def _size(self, checkpoint: Checkpoint, jobs: Sequence[Job]) -> int:
        """How many rows may be in flight at once: as asked, as the cache allows, as the masks allow."""
        longest, prompt = max(job.longest for job in jobs), max(len(job.ids) for job in jobs)
        asked = self._batch_size or (256 if checkpoint.model.device.type == "cuda" else 64)
        fits = int(_SHARE * _free_bytes(checkpoint.model.device) / (cache_bytes(checkpoint.model) * longest))
        return max(1, min(asked, fits, _MASK_CELLS // prompt**2))


def cache_bytes(model: Any) -> int:
    """The bytes that one token of one row takes in the cache."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * width * model.dtype.itemsize


def _free_bytes(device: Any) -> int:
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
