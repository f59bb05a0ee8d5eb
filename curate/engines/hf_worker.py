"""One thread that owns a loaded checkpoint and works off what is waiting, in batches."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from curate.engines.hf_checkpoint import Checkpoint
from curate.engines.hf_jobs import Draw, Job, Scoring
from curate.errors import CallFailed

_GATHER_S = 0.003  # what is asked within this time of the first request goes into the first batch
_MASK_CELLS = 1 << 28  # rows x length x length of one attention mask
_SHARE = 0.5  # of the memory that is free once the model is loaded, for the cache
_READ = 0.2  # of the same, for what is remembered of texts that are answered
_TOKENS = {"cpu": 1 << 11, "cuda": 1 << 14}  # of a batch that is scored, with padding: enough to be busy
_NEAR = 0.8  # of the longest of a batch: a shorter text would cost more in padding than a batch of its own
_AHEAD = 512  # a row is let in where it has room for so many tokens, or for all it asks


class Worker(threading.Thread):
    """`loaded` holds the checkpoint once it is read, or the reason why it cannot be."""

    def __init__(self, load: Callable[[], Checkpoint], batch_size: int | None) -> None:
        super().__init__(name="hf-engine", daemon=True)
        self.loaded: Future[Checkpoint] = Future()
        self.closing = False
        self._load, self._batch_size = load, batch_size
        self._waiting: list[Job] = []
        self._batch: list[Job] = []  # the jobs that are being answered
        self._head: Any = None  # how scores are projected, once it is known
        self._asked_head = False
        self._changed = threading.Condition()

    def submit(self, job: Job) -> Future[Any]:
        """The future of the job's answer; cancelling it takes the job out."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Stop after the present token; what has no answer yet is cancelled."""
        with self._changed:
            self.closing = True
            self._changed.notify()

    def run(self) -> None:
        try:
            from curate.engines.hf_attention import attend_twice
            from curate.engines.hf_cache import cache_bytes
            from curate.engines.hf_prefix import Prefixes, lasts
            from curate.engines.hf_project import begin

            begin()
            attend_twice()
            checkpoint = self._load()
            kind = "cuda" if checkpoint.model.device.type == "cuda" else "cpu"
            self._size, self._tokens = self._batch_size or (256 if kind == "cuda" else 128), _TOKENS[kind]
            room = _free_bytes(checkpoint.model.device) // cache_bytes(checkpoint.model)
            config = checkpoint.model.config.get_text_config()
            self._width, keeps = config.hidden_size, lasts(config)
            self._room, self._read = int(_SHARE * room), Prefixes(int(_READ * room) if keeps else 0)
        except BaseException as e:  # noqa: BLE001  the one who opens the engine is in another thread
            self.loaded.set_exception(e)
            return
        self.loaded.set_result(checkpoint)
        while self._wait():
            time.sleep(_GATHER_S)
            self._batch = []
            try:
                self._batch = self._take(Job, self._size)
                self._answer_all(checkpoint)
            except Exception as e:  # noqa: BLE001  the callers wait in another thread: it is theirs to raise
                for job in self._batch or self._all():
                    job.fail(e)
        for job in [*self._batch, *self._waiting]:
            job.future.cancel()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self.closing)
            return not self.closing

    def _answer_all(self, checkpoint: Checkpoint) -> None:
        """Answer the batch and whatever joins it; what does not fit into the GPU is done in halves."""
        parts = [self._batch]
        try:
            while parts:
                self._batch = parts.pop()
                remembered = self._read.tokens
                if (words := self._too_large(checkpoint)) is None:
                    continue
                left = [job for job in self._batch if not job.future.done()]
                if remembered:
                    parts.append(left)  # once more, in the room that this took
                elif len(left) > 1:
                    parts += [left[len(left) // 2 :], left[: len(left) // 2]]
                else:
                    said = f"{left[0].longest} tokens do not fit into the memory of the GPU: {words}"
                    left[0].fail(CallFailed(said))
        except BaseException:
            self._batch = [*self._batch, *(job for part in parts for job in part)]
            raise

    def _too_large(self, checkpoint: Checkpoint) -> str | None:
        """Answer the batch. Where the GPU has no room, let go of what is held there, and say its words."""
        import torch

        try:
            self._answer(checkpoint, self._batch)
            return None
        except torch.OutOfMemoryError as e:
            words = str(e)  # the error itself holds on to the batch
        self._read.clear()
        torch.cuda.empty_cache()
        return words

    def _answer(self, checkpoint: Checkpoint, batch: Sequence[Job]) -> None:
        from curate.engines.hf_decode import Batch, decode
        from curate.engines.hf_score import plain_head, score

        scorings = [job for job in batch if isinstance(job, Scoring)]
        draws = [job for job in batch if isinstance(job, Draw)]
        if scorings:
            if not self._asked_head:
                self._head, self._asked_head = plain_head(checkpoint.model), True
            score(checkpoint.model, self._head, scorings, self._tokens, lambda: self.closing)
        if draws:
            for draw in draws:
                draw.restart()
            decode(Batch(checkpoint.model, checkpoint.words, checkpoint.ends, draws, self._read), self)

    def capacity(self, width: int) -> int:
        """How many rows of so many tokens may be in flight at once."""
        return max(1, min(self._size, self._room // width))

    def more(self, free: int) -> list[Draw]:
        """Waiting samples that may join the batch; none while a text waits to be scored."""
        if any(isinstance(job, Scoring) for job in self._waiting):
            return []
        new = [job for job in self._take(Draw, free) if isinstance(job, Draw)]
        for draw in new:
            draw.restart()
        self._batch += new
        return new

    def give_back(self, rows: Sequence[Draw]) -> None:
        """Let rows of the batch wait again, before those that came later."""
        gone = set(map(id, rows))
        self._batch = [job for job in self._batch if id(job) not in gone]
        with self._changed:
            self._waiting = [*rows, *self._waiting]

    def _take(self, kind: type[Job], most: int) -> list[Job]:
        """Waiting jobs of one kind, up to `most`, as many as fit together.

        Samples begin in the order they came, so that rows get to their end; where that is too much, the
        longest do, with others of like length.
        """
        with self._changed:
            self._waiting = [job for job in self._waiting if not job.cancelled]
            able = [job for job in self._waiting if isinstance(job, kind)]
            scorings = [job for job in able if isinstance(job, Scoring)]
            if not able:
                return []
            if scorings:
                taken: list[Job] = [*_alike(scorings, most, self._tokens, self._width)]
            else:
                taken = able[:most]
                if len(taken) > self._fitting(taken):
                    taken = sorted(able, key=lambda job: -len(job.ids))[:most]
                taken = taken[: self._fitting(taken)]
            gone = set(map(id, taken))
            self._waiting = [job for job in self._waiting if id(job) not in gone]
            return taken

    def _all(self) -> list[Job]:
        """Every waiting job, taken whether they fit together or not."""
        with self._changed:
            taken, self._waiting = self._waiting, []
            return taken

    def _fitting(self, jobs: Sequence[Job]) -> int:
        """How many of these may begin together, with room for what they draw."""
        width = max(min(job.longest, len(job.ids) + _AHEAD) for job in jobs)
        return min(self.capacity(width), max(1, _MASK_CELLS // max(len(job.ids) for job in jobs) ** 2))


def _alike(jobs: Sequence[Scoring], most: int, tokens: int, width: int) -> list[Scoring]:
    """The longest, with others of nearly its length; where they go on from one prompt, all that share it."""
    first = max(jobs, key=lambda job: job.longest)
    found = [job for job in jobs if job.ids == first.ids and job.goes_on(width)]
    if len(found) > 1 and first.goes_on(width):
        return sorted(found, key=lambda job: -job.longest)[:most]
    found = sorted(
        (job for job in jobs if job.longest >= _NEAR * first.longest), key=lambda job: -job.longest
    )
    return found[: max(1, min(most, tokens // first.longest))]


def _free_bytes(device: Any) -> int:
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:  # a container is told less than the machine has
        most, used = (int(Path("/sys/fs/cgroup", f"memory.{w}").read_text()) for w in ("max", "current"))
    except (OSError, ValueError):  # no such file, or "max"
        return free
    return max(0, min(free, most - used))
