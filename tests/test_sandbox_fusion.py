"""Programs run by a SandboxFusion server: its words are understood, and the verdict is reached here.

Over a server of ours that speaks as it does; and over the real one where CURATE_SANDBOX_FUSION names it.
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.verifiers.code_tests import CodeTests

SUM = json.dumps({"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34\n"]})
RIGHT = "```python\nprint(sum(map(int, input().split())))\n```"


def row(response: str, answer: str = SUM) -> dict[str, Any]:
    return {"question": None, "response": response, "answer": answer}


class Fusion(http.server.BaseHTTPRequestHandler):
    """Speaks SandboxFusion's /run_code over real HTTP; runs the program in a plain process.

    As the real one it tells no more of a pipe than it has read, and gives back the files it is asked for.
    """

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/run_code" and asked["language"] == "python"
        with tempfile.TemporaryDirectory() as folder:
            answer = json.dumps(self.ran(asked, Path(folder))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def ran(self, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
        for name, content in asked["files"].items():
            (folder / name).write_bytes(base64.b64decode(content))
        if any("sandbox is broken" in file.read_text() for file in folder.iterdir()):
            return {"status": "SandboxError", "message": "", "run_result": None, "files": {}}
        status, result = "Success", {"status": "Finished", "return_code": 0}
        try:
            done = subprocess.run(
                [sys.executable, "-c", asked["code"]], input=asked["stdin"].encode(), capture_output=True,
                timeout=min(asked["run_timeout"], 20), cwd=folder,
            )  # fmt: skip
            told = {"return_code": done.returncode, "stdout": done.stdout[:1000].decode()}
            status, result = ("Failed" if done.returncode else "Success"), result | told
        except subprocess.TimeoutExpired:
            status, result = "Failed", {"status": "TimeLimitExceeded", "return_code": None}
        kept = [folder / name for name in asked["fetch_files"] if (folder / name).is_file()]
        files = {file.name: base64.b64encode(file.read_bytes()).decode() for file in kept}
        return {"status": status, "message": "", "run_result": result, "files": files}

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module", params=["ours", "real"])
def fusion(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server like SandboxFusion; and where CURATE_SANDBOX_FUSION names one, the real thing."""
    if request.param == "real":
        if not (url := os.environ.get("CURATE_SANDBOX_FUSION")):
            pytest.skip("CURATE_SANDBOX_FUSION names no server")
        yield url
        return
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fusion) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}/"
        served.shutdown()


BROKEN = ("```python\n# the sandbox is broken\n```", SUM, None, "crashed: ", None)
LONG = json.dumps({"inputs": ["700000"], "outputs": ["a" * 700_000 + "z"]})
CALLS = json.dumps({"fn_name": "f", "inputs": [[1, 2], [3, 4]], "outputs": [3, 7]})


@pytest.mark.parametrize(
    ("response", "answer", "passed", "why", "score"),
    [
        (RIGHT, SUM, True, "equal: (SandboxFusion)", 1.0),
        ("```python\nprint(3)\n```", SUM, False, "wrong_answer: case 2 of 2 (SandboxFusion)", 0.5),
        ("```python\n1/0\n```", SUM, False, "runtime_error: case 1 of 2, ZeroDivisionError", 0.0),
        ("```python\nprint(\n```", SUM, False, "syntax_error: case 1 of 2, SyntaxError", 0.0),
        ("```python\nwhile True: pass\n```", SUM, False, "timeout: case 1 of 2", 0.0),
        ("```python\ndef f(a, b): return a + b\n```", CALLS, True, "equal", 1.0),
        ("```python\nclass Solution:\n    def f(self, a, b): return a + b\n```", CALLS, True, "equal", 1.0),
        ("```python\ndef f(a, b): return 3\n```", CALLS, False, "wrong_answer", 0.5),
        ("```python\ndef f(a, b):\n    print(3)\n    exit()\n```", CALLS, False, "runtime_error", 0.0),
        ("```python\ndef f(a, b): return a + b\n```", "assert f(1, 2) == 3", None, "unsupported", None),
        ("```python\nprint('a' * int(input()) + 'z')\n```", LONG, True, "equal", 1.0),
        ("```python\nwhile True: print('a' * 100_000)\n```", LONG, False, "output_limit: case 1 of 1", 0.0),
        (
            "```python\nimport sys\nsys.stderr.write('e' * 700_000)\n"
            "print(sum(map(int, input().split())))\n```", SUM, True, "equal", 1.0,
        ),
        (
            "```python\nimport threading\n"
            "threading.Thread(target=lambda: print(sum(map(int, input().split())))).start()\n```",
            SUM, True, "equal", 1.0,
        ),
        ("```python\nimport os\nos._exit(0)\n```", SUM, False, "wrong_answer", 0.0),
        BROKEN,
    ],
)  # fmt: skip
def test_a_sandbox_fusion_server_may_run_the_programs(
    fusion: str, response: str, answer: str, passed: bool | None, why: str, score: float | None
) -> None:
    if (response, answer, passed, why, score) == BROKEN and os.environ.get("CURATE_SANDBOX_FUSION") == fusion:
        pytest.skip("the real one has no such word")
    got = CodeTests(sandbox_fusion=fusion, case_timeout_s=2.0 if "while" in response else 60.0).row(
        row(response, answer)
    )
    assert (got.passed, got.score) == (passed, score) and got.why.startswith(why), got


def test_a_server_that_is_not_there_abstains() -> None:
    got = CodeTests(sandbox_fusion="http://127.0.0.1:9/", case_timeout_s=1.0).row(row(RIGHT))
    assert got.passed is None and got.why.startswith("crashed: http://127.0.0.1:9/ did not answer")
