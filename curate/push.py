"""A published folder is on the Hub as well, or one sentence says why not."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from curate.errors import UserError

if TYPE_CHECKING:
    from curate.publish import Publication


def push(done: Publication, api: Any) -> None:
    """One commit: the new files, and the shards they replace gone. UserError where the Hub takes none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    api = api or HfApi()
    try:
        api.create_repo(repo_id=done.push_to, repo_type="dataset", private=done.private, exist_ok=True)
        api.upload_folder(
            repo_id=done.push_to,
            repo_type="dataset",
            folder_path=done.folder,
            allow_patterns=list(done.files),
            delete_patterns=["data/*/*.parquet"],
            commit_message=f"Publish {done.rows:,} rows",
        )
    except (HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled, OSError, _unreachable()) as e:
        reached = isinstance(e, (HfHubHTTPError, LocalTokenNotFoundError))
        why = f"{type(e).__name__}: {str(e).strip().splitlines()[0] if str(e).strip() else 'no word'}"
        remedy = "log in with `hf auth login`" if reached else "see that the Hub can be reached"
        raise UserError(
            f"{done.folder} is complete, but the Hub did not take it as {done.push_to} ({why}); "
            f"{remedy} and publish again"
        ) from None


def _unreachable() -> type[Exception]:
    """What the Hub's client raises where nobody answers; of which library that is depends on its version."""
    from huggingface_hub import get_session

    library = import_module(type(get_session()).__module__.partition(".")[0])
    return getattr(library, "TransportError", OSError)
