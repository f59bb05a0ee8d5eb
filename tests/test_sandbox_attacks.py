"""No cheat passes, no attack reaches what is outside, nothing of them is left. The table is attacks.py."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import attacks_more
import pytest
from attacks import ASSERTS, CALLS, STREAMS

from curate.sandbox.level import isolation, server
from curate.step import Verdict
from curate.verifiers.code_tests import CodeTests

VERIFIER = CodeTests(case_timeout_s=1.0, timeout_s=10.0, memory_mb=256, output_mb=4)
MARK = "5d1f0c"


@pytest.fixture(autouse=True, scope="module")
def isolated() -> None:
    if isolation().level != "full":
        pytest.skip(f"the kernel grants no namespaces here: {isolation().reason}")


@dataclass
class Outside:
    """What an attack could reach, were it not for the sandbox."""

    folder: Path
    names: dict[str, object]
    sockets: list[socket.socket]

    def unchanged(self) -> None:
        assert sorted(p.name for p in self.folder.iterdir()) == ["canary", f"secret-{MARK}", "socket"]
        assert (self.folder / "canary").read_text() == "alive"
        for listening in self.sockets:
            with pytest.raises(BlockingIOError):
                listening.recv(1) if listening.type == socket.SOCK_DGRAM else listening.accept()


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    folder.chmod(0o777)
    (folder / "canary").write_text("alive")
    (folder / "canary").chmod(0o666)
    (folder / f"secret-{MARK}").write_text("42\n")
    tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    name = f"curate-{os.getpid()}"
    places = [("127.0.0.1", 0), ("127.0.0.1", 0), str(folder / "socket"), "\0" + name]
    for s, place in zip((tcp, udp, unix, abstract), places, strict=True):
        s.bind(place)  # type: ignore[arg-type]
        s.setblocking(False)
        if s is not udp:
            s.listen()
    (folder / "socket").chmod(0o777)
    ports = {"tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1]}
    files = {
        "secret": str(folder / f"secret-{MARK}"),
        "canary": str(folder / "canary"),
        "folder": str(folder),
    }
    names = {
        **ports,
        **files,
        "unix": str(folder / "socket"),
        "abstract": name,
        "pid": os.getpid(),
        "mark": MARK,
    }
    os.environ["CURATE_ATTACK_ANSWER"] = "42"
    yield Outside(folder, names, [tcp, udp, unix, abstract])
    del os.environ["CURATE_ATTACK_ANSWER"]
    for s in (tcp, udp, unix, abstract):
        s.close()


def filled(program: str, outside: Outside) -> str:
    """The program with the names of what is outside put in; other braces stay."""
    for name, value in outside.names.items():
        program = program.replace("{" + name + "}", str(value))
    return program.replace("{{", "{").replace("}}", "}") if "{{" in program else program


def left_behind() -> list[str]:
    """Processes of this test's fork servers, but for the servers themselves."""
    ours = {str(os.getpid()).encode()}
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        if len(words) > 2 and words[-2] in ours and b"full" in words and parent != str(os.getpid()):
            found.append(pid)
    return found


def holds(verdict: Verdict, outside: Outside) -> None:
    assert verdict.passed is False, verdict
    verdict.why.encode()  # a table takes no half of a character
    outside.unchanged()
    end = time.monotonic() + 10
    while left_behind():
        assert time.monotonic() < end, left_behind()
        time.sleep(0.02)
    assert server("full").alive
    honest = VERIFIER.row({"question": None, "response": "print(6 * 7)", "answer": STREAM_TESTS})
    assert honest.passed is True, honest


NOTE = f"secret-{MARK}-is-42"  # the judge holds it beside the answer
STREAM_TESTS = json.dumps({"inputs": ["6 7\n"], "outputs": ["42\n"], "note": NOTE})
CALL_TESTS = json.dumps({"fn_name": "f", "inputs": [[6, 7]], "outputs": [42], "note": NOTE})
ASSERT_TESTS = json.dumps({"test_list": ["assert f(6, 7) == 42", "assert f(2, 3) == 6"], "note": NOTE})


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


@pytest.mark.parametrize("name", STREAMS | attacks_more.STREAMS)
def test_an_attack_on_streams(name: str, outside: Outside) -> None:
    program = filled((STREAMS | attacks_more.STREAMS)[name], outside)
    holds(VERIFIER.row({"question": None, "response": fenced(program), "answer": STREAM_TESTS}), outside)


@pytest.mark.parametrize("name", CALLS | attacks_more.CALLS)
def test_a_cheat_on_calls(name: str, outside: Outside) -> None:
    holds(
        VERIFIER.row(
            {
                "question": None,
                "response": fenced(filled((CALLS | attacks_more.CALLS)[name], outside)),
                "answer": CALL_TESTS,
            }
        ),
        outside,
    )


@pytest.mark.parametrize("name", ASSERTS)
def test_a_cheat_on_asserts(name: str, outside: Outside) -> None:
    holds(
        VERIFIER.row(
            {"question": None, "response": fenced(filled(ASSERTS[name], outside)), "answer": ASSERT_TESTS}
        ),
        outside,
    )
