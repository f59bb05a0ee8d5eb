"""The sandbox lives and dies with its caller, serves threads and workers, and says how good it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attacks
import attacks_more
import pytest
from conftest import ROOT

from curate.pool import Abstained, Pool
from curate.sandbox import level
from curate.sandbox.level import Isolation, isolation, server
from curate.sandbox.server import Limits, SandboxDown, Server
from curate.verifiers.code_tests import CodeTests

SUM = json.dumps({"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34\n"]})
RIGHT = "```python\nprint(sum(map(int, input().split())))\n```"
SLEEPS = "```python\nimport os, time\nos.fork()\ntime.sleep(1000)\n```"


def row(response: str, answer: str = SUM) -> dict[str, Any]:
    return {"question": None, "response": response, "answer": answer}


@pytest.fixture(autouse=True, scope="module")
def isolated() -> None:
    if isolation().level != "full":
        pytest.skip(f"the kernel grants no namespaces here: {isolation().reason}")


def servants(caller: int) -> list[int]:
    """The processes of a caller's fork servers, by their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[-3:-1] in [[name, str(caller).encode()] for name in (b"full", b"bubblewrap", b"weak")]:
            found.append(int(pid))
    return found


def gone(caller: int) -> bool:
    end = time.monotonic() + 20
    while servants(caller) and time.monotonic() < end:
        time.sleep(0.05)
    return not servants(caller)


def in_a_child(code: str, **more: Any) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True, **more)


BUSY = f"""
import threading
from curate.verifiers.code_tests import CodeTests
row = {row(SLEEPS)!r}
threading.Thread(target=CodeTests(case_timeout_s=50.0).row, args=(row,), daemon=True).start()
"""


def busy(child: subprocess.Popen[str]) -> None:
    """Wait until a sandboxed program of the child's runs: warden, keeper, and the program's two processes."""
    end = time.monotonic() + 60
    while len(servants(child.pid)) < 4:
        assert time.monotonic() < end and child.poll() is None
        time.sleep(0.05)


def test_nothing_is_left_when_the_caller_is_killed() -> None:
    with in_a_child(BUSY + "threading.Event().wait()") as child:
        busy(child)
        child.kill()
    assert gone(child.pid)


def test_nothing_is_left_when_the_caller_ends_in_the_middle() -> None:
    with in_a_child(BUSY + "input()", stdin=subprocess.PIPE) as child:
        busy(child)
        child.communicate("\n")
    assert child.returncode == 0 and gone(child.pid)


def test_nothing_is_left_when_the_caller_is_interrupted() -> None:
    waits = (  # a shell's background ignores SIGINT; polars restarts a wait that a signal interrupts
        "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "while True:\n    time.sleep(0.1)"
    )
    with in_a_child(BUSY + waits, stderr=subprocess.DEVNULL) as child:
        busy(child)
        child.send_signal(signal.SIGINT)
    assert gone(child.pid)


def test_a_worker_that_is_killed_leaves_nothing() -> None:
    with Pool(1) as pool:
        assert pool.run(CodeTests(), row(RIGHT)).passed is True
        (worker,) = [p.process.pid for p in pool._all]
        assert servants(worker)  # so there is something that could be left
    assert gone(worker)


def test_a_row_ends_before_its_worker_is_killed() -> None:
    step = CodeTests(case_timeout_s=1000.0, timeout_s=3.0)
    with Pool(1) as pool:
        got = pool.run(step, row(SLEEPS))
    assert not isinstance(got, Abstained) and got.passed is False and got.why == "timeout: case 1 of 2"


def test_many_threads_share_one_warden() -> None:
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(CodeTests(case_timeout_s=30.0).row, [row(RIGHT)] * 40))
    assert all(v.passed for v in got)
    assert len([pid for pid in servants(os.getpid())]) <= 2  # one a level


def test_a_thread_that_ends_does_not_take_the_warden_along() -> None:
    for _ in range(2):
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(CodeTests().row, row(RIGHT)).result().passed is True


def test_a_warden_that_died_is_replaced() -> None:
    first = server("full")
    first.process.kill()
    first.process.wait()
    assert CodeTests().row(row(RIGHT)).passed is True
    assert server("full") is not first
    first.close()


def test_a_warden_that_dies_in_the_middle_is_no_verdict_on_the_program() -> None:
    made = Server("full")
    with made.run("main", {"units": ["import time; time.sleep(100)"]}, Limits(256, 10), b"") as run:
        made.process.kill()
        made.process.wait()  # else the keeper may still hear first that we want its end
        assert "broken" in run.end()
    made.close()


def test_a_forked_copy_of_the_caller_has_its_own() -> None:
    code = f"""
import os
from curate.verifiers.code_tests import CodeTests
row = {row(RIGHT)!r}
assert CodeTests().row(row).passed
if not (pid := os.fork()):
    os._exit(0 if CodeTests().row(row).passed else 1)
assert os.waitpid(pid, 0)[1] == 0
assert CodeTests().row(row).passed
print("fine")
"""
    child = in_a_child(code)
    assert child.communicate()[0] == "fine\n" and gone(child.pid)


def test_without_privilege_it_works_too() -> None:
    """As user 1000 of a user namespace: every mount and namespace is made without being root."""
    code = f"""
import ctypes, os
real = os.getuid(), os.getgid()
assert ctypes.CDLL(None).unshare(0x10000000) == 0
maps = ("setgroups", "deny"), ("uid_map", f"1000 {{real[0]}} 1"), ("gid_map", f"1000 {{real[1]}} 1")
for name, text in maps:
    with open(f"/proc/self/{{name}}", "w") as f:
        f.write(text)
assert os.getuid() == 1000
from curate.sandbox.level import isolation
from curate.verifiers.code_tests import CodeTests
print(isolation().level, CodeTests().row({row(RIGHT)!r}).why)
"""
    child = in_a_child(code)
    assert child.communicate()[0] == "full equal\n" and gone(child.pid)


def test_the_caller_keeps_its_limits_and_descriptors() -> None:
    CodeTests().row(row(RIGHT))
    before = len(os.listdir("/proc/self/fd"))
    for response in (RIGHT, "```python\n(\n```", "```python\n1/0\n```", "```python\nprint('x' * 2**26)\n```"):
        CodeTests().row(row(response))
        CodeTests().row(row(response, "assert f(1) == 1"))
        CodeTests().row(row(response, json.dumps({"fn_name": "f", "inputs": [[1]], "outputs": [1]})))
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_a_program_sees() -> None:
    program = """
import os, socket
print(sorted(os.listdir("/")), os.getuid() != 0, dict(os.environ), os.listdir("/tmp"), socket.gethostname())
print([p for p in os.listdir("/proc") if p.isdigit()], sorted(os.listdir("/dev")), os.getcwd())
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0], os.path.exists("/etc"))"""
    with server("full").run("main", {"units": [program]}, Limits(256, 10), b"") as run:
        assert run.wait(time.monotonic() + 30) and run.out is not None
        first, second, third = os.read(run.out, 10_000).decode().splitlines()
    assert first.endswith("True {} [] sandbox") and "'etc'" not in first and "'home'" not in first
    devices = ["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"]
    assert second == f"['1'] {devices} /tmp"
    assert third == "0000000000000000 False"


def test_installed_packages_are_not_there() -> None:
    program = """
import os, sys
for path in sys.path + [os.path.dirname(os.__file__) + "/site-packages"]:
    if os.path.isdir(path) and "polars" in os.listdir(path):
        print(path)"""
    assert (
        CodeTests()
        .row(row(f"```python\n{program}\n```", json.dumps({"inputs": [""], "outputs": [""]})))
        .passed
    )


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        server("weak")
    except SandboxDown as e:
        pytest.skip(f"no Landlock here: {e}")
    monkeypatch.setattr("curate.verifiers.code_tests.isolation", lambda: Isolation("weak", "full: forbidden"))


def test_weak_isolation_abstains_unless_it_is_allowed(weak: None) -> None:
    got = CodeTests().row(row(RIGHT))
    assert got.passed is None and got.why == "weak_isolation: full: forbidden"
    got = CodeTests(allow_weak_isolation=True).row(row(RIGHT))
    assert got.passed is True and got.why == "equal: (weak isolation)"


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("import os\nos.kill(os.getppid(), 9)", "blocked"),
        ("import os\nos.kill(-1, 9)", "blocked"),
        ("open('/etc/passwd').read()", "blocked"),
        ("open('/tmp/curate-weak', 'w')", "blocked"),
        ("import socket\nsocket.socket(type=socket.SOCK_DGRAM)", "blocked"),
        ("import os, time\nif not os.fork():\n    os.setsid()\n    if not os.fork(): time.sleep(99)",
         "wrong_answer"),
        ("import os\nwhile True:\n    os.fork()", "runtime_error"),
    ],
)  # fmt: skip
def test_weak_isolation_keeps_what_it_promises(weak: None, program: str, word: str) -> None:
    got = CodeTests(allow_weak_isolation=True, case_timeout_s=5.0).row(row(f"```python\n{program}\n```"))
    assert got.passed is False and got.why.split(":")[0] in (word, "timeout"), got
    assert not os.path.exists("/tmp/curate-weak")
    end = time.monotonic() + 10
    while len(servants(os.getpid())) > 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(servants(os.getpid())) <= 2


INSIDE = """
import ctypes, os, sys
if os.getuid() == 0:  # become user 1000 of a user namespace
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    for name, text in ("setgroups", "deny"), ("uid_map", "1000 0 1"), ("gid_map", "1000 0 1"):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)
import json, threading
from curate.sandbox.level import Isolation, server
from curate.sandbox.server import SandboxDown
import curate.verifiers.code_tests as code_tests
starter = []
def start():
    try:
        starter.append(server("bubblewrap"))
    except SandboxDown as e:
        print(json.dumps(["down", str(e)]))
threading.Thread(target=start).start()  # it does not end with the thread that needed it first
code_tests.isolation = lambda: Isolation("bubblewrap", "full: forbidden")
for allowed, response, answer in json.loads(sys.stdin.readline()):
    step = code_tests.CodeTests(allow_weak_isolation=allowed, case_timeout_s=1.0, memory_mb=256, output_mb=4)
    got = step.row(dict(question=None, response=response, answer=answer))
    print(json.dumps([got.passed, got.why]), flush=True)
sys.stdin.read()
"""


@contextmanager
def in_bubblewrap(rows: list[tuple[bool, str, str]]) -> Iterator[tuple[list[Any], subprocess.Popen[str]]]:
    """The verdicts on rows, and the process that reached them, which still lives."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with in_a_child(INSIDE, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(rows) + "\n")
        child.stdin.flush()
        got = [json.loads(child.stdout.readline()) for _ in rows]
        if got[0][0] == "down":
            child.kill()
            pytest.skip(f"bubblewrap does not work here: {got[0][1]}")
        yield got, child
        child.kill()


def test_bubblewrap_is_a_weaker_level_that_must_be_allowed() -> None:
    function = "```python\ndef f(a, b):\n    return a * b\n```"
    with in_bubblewrap(
        [(False, RIGHT, SUM), (True, RIGHT, SUM), (True, function, "assert f(6, 7) == 42")]
    ) as (got, child):
        assert got[0] == [None, "weak_isolation: full: forbidden"]
        assert got[1:] == [[True, "equal: (bubblewrap isolation)"]] * 2
        assert len(servants(child.pid)) >= 2  # bubblewrap, and the warden in it
    assert gone(child.pid)


@pytest.mark.parametrize("table", ["STREAMS", "CALLS"])
def test_no_attack_passes_in_bubblewrap(table: str, tmp_path: Path) -> None:
    (tmp_path / "secret-42").write_text("42\n")
    (tmp_path / "canary").write_text("alive")
    known = {**getattr(attacks, table), **getattr(attacks_more, table)}
    rows = []
    for name in [n for n in known if "fork" not in n and "processes" not in n][::3]:  # root's are not counted
        text = known[name].replace("{secret}", str(tmp_path / "secret-42"))
        text = text.replace("{canary}", str(tmp_path / "canary")).replace("{folder}", str(tmp_path))
        text = text.replace("{pid}", "2").replace("{tcp}", "9").replace("{udp}", "9")
        text = text.replace("{{", "{").replace("}}", "}")
        answer = {"inputs": ["6 7\n"], "outputs": ["42\n"]}
        if table == "CALLS":
            answer = {"fn_name": "f", "inputs": [[6, 7]], "outputs": [42]}
        rows.append((True, f"```python\n{text}\n```", json.dumps(answer)))
    with in_bubblewrap([*rows, (True, RIGHT, SUM)]) as (got, child):
        assert [(r[1], v) for r, v in zip(rows, got, strict=False) if v[0] is not False] == []
        assert got[-1][0] is True
    assert gone(child.pid) and (tmp_path / "canary").read_text() == "alive"


def test_root_needs_no_bubblewrap() -> None:
    if os.geteuid():
        pytest.skip("not root")
    with pytest.raises(SandboxDown, match="not as root|not installed"):
        Server("bubblewrap")


def test_no_isolation_at_all_abstains(monkeypatch: pytest.MonkeyPatch) -> None:
    level._server.cache_clear()
    monkeypatch.setattr(level, "Server", NoServer)
    said = "; ".join(f"{level}: unshare: not permitted" for level in ("full", "bubblewrap", "weak"))
    assert isolation() == Isolation("none", said)
    got = CodeTests(allow_weak_isolation=True).row(row(RIGHT))
    level._server.cache_clear()
    assert got.passed is None and got.why.startswith("weak_isolation: full: unshare: not permitted")


class NoServer(Server):
    """What a kernel that forbids everything makes of it."""

    def __init__(self, level: str) -> None:
        raise SandboxDown("unshare: not permitted")


def test_where_a_program_runs_is_not_its_identity() -> None:
    assert CodeTests(sandbox_fusion="http://a/").fingerprint == CodeTests().fingerprint
    assert CodeTests(memory_mb=1).fingerprint != CodeTests().fingerprint
