"""Records of datasets in the Hugging Face sense: on the Hub, in its cache, or saved to a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.errors import InputError, require
from curate.formats import BATCH_BYTES, Record, sized


def read_folder(folder: Path, split: str | None) -> Iterator[Record]:
    """The records of a folder that `Dataset.save_to_disk` wrote."""
    datasets = require("datasets", "pip install datasets")
    found = datasets.load_from_disk(str(folder))
    yield from _dataset(_one_split(found, str(folder), split) if isinstance(found, dict) else found)


def read_hub(hub_id: str, name: str | None, split: str | None, streaming: bool) -> Iterator[Record]:
    """The records of a dataset on the Hugging Face Hub, or of its cached copy; of train without a `split`."""
    datasets = require("datasets", "pip install datasets")
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    try:
        found = datasets.load_dataset(hub_id, name, streaming=streaming and not offline)
        if isinstance(found, dict):
            found = _one_split(found, hub_id, split)
        yield from _dataset(found)
    except ConnectionError as e:
        remedy = (
            "unset HF_HUB_OFFLINE to download it, or read a local file" if offline else "check the network"
        )
        raise InputError(
            f"{hub_id} is no local file, and no cached or reachable dataset ({e}); {remedy}"
        ) from None
    except (datasets.exceptions.DatasetsError, ValueError) as e:
        raise InputError(f"{hub_id}: {str(e).splitlines()[0]}") from None


def _one_split(found: dict[str, Any], where: str, split: str | None) -> Any:
    wanted = split or ("train" if "train" in found else next(iter(found)) if len(found) == 1 else None)
    if wanted is None or wanted not in found:
        said = f"has no split {split!r}" if split else "has several splits"
        raise InputError(f"{where} {said}; say split= with one of {', '.join(sorted(found))}")
    return found[wanted]


def _dataset(data: Any) -> Iterator[Record]:
    if hasattr(data, "num_rows"):
        per_row = max(1, (data.dataset_size or 0) // max(1, data.num_rows))
        batches = data.with_format("arrow").iter(batch_size=max(1, min(1024, BATCH_BYTES // per_row)))
        rows = (row for batch in batches for row in sized(batch))
    else:
        rows = ((len(str(row)), row) for row in data)
    for number, (size, row) in enumerate(rows, 1):
        yield Record(f"row {number}", size, row)
