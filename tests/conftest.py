"""Fixtures that several test files share: the real data, where it is, a tiny checkpoint, a Ray cluster."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the command line does, before anything loads torch

# a test never asserts how long it takes: the machine may be busy
settings.register_profile("curate", deadline=None)
settings.load_profile("curate")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real problems and traces; it is not part of the repository."""
    folder = Path(os.environ.get("CURATE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "traces").is_dir():
        pytest.skip(
            f"no real data at {folder}; set CURATE_DATA to the folder that holds traces/ and problems/"
        )
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised checkpoint with a tokenizer and a chat template, a few hundred kilobytes."""
    from tiny_model import build

    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster that this process started, as a run would."""
    ray = pytest.importorskip("ray", reason="ray is not installed here: pip install 'trace-curate[ray]'")
    from curate.cluster import attach

    attach()
    yield ray.get_runtime_context().gcs_address
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it forgets processes that it has not waited for
        ray.shutdown()
        gc.collect()
