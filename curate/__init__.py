"""One lazy pipeline from problems and teacher traces to a published dataset and a trained student."""

from pathlib import Path

__version__ = "0.1.0"

_root = Path(__file__).resolve().parent
if not (_root / "verifiers").is_dir() and (_root.parent / "verifiers").is_dir():
    __path__.append(str(_root.parent))  # a checkout that lost its links (Windows, a zip file)

from curate.engines import engine  # noqa: E402 - the rooms must be findable first
from curate.pipeline import Pipeline  # noqa: E402
from curate.read import read  # noqa: E402
from curate.run import Run  # noqa: E402
from curate.sample import Sample  # noqa: E402

__all__ = ["Pipeline", "Run", "Sample", "__version__", "engine", "read"]
