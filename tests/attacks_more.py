"""More programs that cheat or attack, aimed at the kernel and at what reads the answers; see attacks.py."""

from __future__ import annotations

LIBC = "import ctypes, os\ncall = ctypes.CDLL(None, use_errno=True).syscall\n"

# printed as the answer to "6 7" on stdin; the gold output is 42
STREAMS = {
    "takes back what it printed": """
import os, time
r = os.open('/proc/self/fd/1', os.O_RDONLY | os.O_NONBLOCK)
for _ in range(20000):
    os.write(1, b'x')
    try: os.read(r, 10)
    except BlockingIOError: pass
time.sleep(1000)""",
    "takes back what it printed, for ever": """
import os
r = os.open('/proc/self/fd/2', os.O_RDONLY | os.O_NONBLOCK)
while True:
    os.write(2, b'x')
    try: os.read(r, 10)
    except BlockingIOError: pass""",
    "will not die with its keeper": LIBC + "print(42 if call(157, 1, 0, 0, 0, 0) == 0 else 0)",
    "cannot be looked into, and takes memory": LIBC
    + """
call(157, 4, 0, 0, 0, 0)
for _ in range(3): os.fork()
x = []
while True:
    try: x.append(b'x' * (1 << 22))
    except MemoryError: pass""",
    "userfaultfd": LIBC + "print(42 if call(323, 0) >= 0 else 0)",
    "perf events": LIBC + "print(42 if call(298, bytes(128), 0, -1, -1, 0) >= 0 else 0)",
    "bpf": LIBC + "print(42 if call(321, 0, bytes(128), 128) >= 0 else 0)",
    "request_key": LIBC + "print(42 if call(249, b'user', b'x', None, 0) >= 0 else 0)",
    "shared memory of System V": LIBC + "print(42 if call(29, 0, 1 << 30, 0o1777) >= 0 else 0)",
    "a message queue": LIBC + "print(42 if call(240, b'x', 0o102, 0o600, None) >= 0 else 0)",
    "a secret memory": LIBC + "print(42 if call(447, 0) >= 0 else 0)",
    "clone3 with namespaces": LIBC
    + """
import struct
args = struct.pack('=11Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
print(42 if call(435, args, len(args)) >= 0 else 0)""",
    "clone of a time namespace": LIBC + "print(42 if call(56, 0x80 | 17, 0, 0, 0, 0) >= 0 else 0)",
    "32-bit system calls": """
import ctypes, mmap
code = bytes.fromhex('b814000000cd80c3')  # mov eax, 20 (getpid); int 0x80; ret
m = mmap.mmap(-1, 4096, prot=7)
m.write(code)
f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
print(42 if f() > 0 else 0)""",
    "another personality": LIBC + "print(42 if call(135, 0x0040000) >= 0 else 0)",
    "a local descriptor table": LIBC + "print(42 if call(154, 0, bytes(64), 64) >= 0 else 0)",
    "limits of another": """
import resource
resource.prlimit({pid}, resource.RLIMIT_CPU, (1, 1))
print(42)""",
    "limits raised by prlimit": """
import resource
resource.prlimit(0, resource.RLIMIT_NPROC, (-1, -1))
print(42)""",
    "a signal by queue": LIBC
    + "b = (ctypes.c_int * 32)(9, 0, -1)\nprint(42 if call(129, {pid}, 9, b) == 0 else 0)",
    "a signal by a descriptor's owner": """
import fcntl, os
r, w = os.pipe()
fcntl.fcntl(r, 10, 9)  # F_SETSIG
fcntl.fcntl(r, fcntl.F_SETOWN, {pid})
fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)
os.write(w, b'x')
print(42)""",
    "signals process 0 and its parent": """
import os
os.kill(os.getppid(), 9)
print(0)""",
    "executes memory": LIBC + "print(42 if call(322, 1, b'', 0, 0, 0x1000) >= 0 else 0)",
    "executes with a million arguments": "import os\nos.execv('/proc/self/exe', ['x' * 100000] * 1000)",
    "executes itself": "import os\nos.execv('/proc/self/exe', ['python', '-c', 'print(42)'])",
    "starts a shell after a fork": """
import os
if not os.fork():
    os.execve('/bin/sh', ['sh', '-c', 'echo 42'], dict(A='1' * 100000))
os.wait()""",
    "a sparse file": "f = open('x', 'wb')\nf.truncate(1 << 40)\nprint(42)",
    "a preallocated file": "import os\nos.posix_fallocate(os.open('x', 66), 0, 1 << 32)\nprint(42)",
    "maps more than it may": "import mmap\nm = mmap.mmap(-1, 1 << 34)\nprint(42)",
    "locks memory": LIBC + "print(42 if call(151, 1 | 2) == 0 else 0)",
    "through the descriptors of process 1": """
import os
for fd in os.listdir('/proc/1/fd'):
    t = os.readlink('/proc/1/fd/' + fd)
    if 'secret' in t or t == '/' or t.startswith('/root') : print(42)""",
    "through its mappings": """
import os
for name in os.listdir('/proc/self/map_files'):
    if os.path.exists('/proc/self/map_files/' + name + '/../../../{secret}'): print(42)""",
    "writes its maps": "open('/proc/self/uid_map', 'wb', 0).write(b'0 0 4294967295')\nprint(42)",
    "writes settings of the kernel": "open('/proc/sys/kernel/hostname', 'wb', 0).write(b'x')\nprint(42)",
    "writes the core pattern": "open('/proc/sys/kernel/core_pattern', 'w').write('|/x')\nprint(42)",
    "asks magic of the kernel": "open('/proc/sysrq-trigger', 'w').write('b')\nprint(42)",
    "spares itself when memory ends": "open('/proc/self/oom_score_adj', 'wb', 0).write(b'-1000')\nprint(42)",
    "writes its own input": "open('/proc/self/fd/0', 'w').write('x')\nprint(42)",
    "writes its own job": "import os\nos.pwrite(os.open('/proc/self/fd/3', os.O_RDWR), b'x', 0)\nprint(42)",
    "sends descriptors to itself without end": """
import array, socket
a, b = socket.socketpair()
while True:
    a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0] * 200))])""",
    "netlink": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\nprint(42)",
    "vsock": "import socket\nsocket.socket(40, socket.SOCK_STREAM)\nprint(42)",
    "prints the answer as an error": "import sys\nsys.stderr.write('42\\n')",
    "prints the answer, then fails": "print(42)\nraise SystemExit(3)",
    "reads its input without end": "import sys\nwhile True:\n    sys.stdin.read()",
    "an error that is no text": "raise ValueError('\\ud800 \\udfff \\0')",
    "a syntax error that is no text": "raise SyntaxError('\\ud800')",
}

SEND = """
import os, struct
def say(data):
    os.write(4, struct.pack('>I', len(data)) + data)
"""

# the function f is called as f(6, 7), and must answer 42; requests are numbered 0 (find) and 1 (call)
CALLS = {
    "an answer twice": SEND + 'def f(a, b):\n    say(b\'{"to": 1, "to": 1, "value": 41, "value": 41.5}\')',
    "an answer that is not a number": SEND + 'def f(a, b): say(b\'{"to": 1, "value": NaN}\')',
    "an answer of infinity": SEND + 'def f(a, b): say(b\'{"to": 1, "value": 1e999}\')',
    "a huge integer": SEND + "def f(a, b): say(b'{\"to\": 1, \"value\": ' + b'4' * 100000 + b'}')",
    "a marked integer that is none": SEND + 'def f(a, b): say(b\'{"to": 1, "value": {"i": "4_"}}\')',
    "a marked integer that is huge": SEND
    + 'def f(a, b): say(b\'{"to": 1, "value": {"i": "\' + b\'f\' * 1000000 + b\'"}}\')',
    "nested answers": SEND
    + "def f(a, b): say(b'{\"to\": 1, \"value\": ' + b'[' * 90000 + b']' * 90000 + b'}')",
    "nested marks": SEND
    + "def f(a, b): say(b'{\"to\": 1, \"value\": ' + b'{\"d\":' * 9000 + b'0' + b'}' * 9001)",
    "an answer before the question": SEND
    + "say(b'{\"ready\": true}')\nsay(b'{\"to\": 0}')\ndef f(a, b): return 0",
    "an error of another shape": SEND + 'def f(a, b): say(b\'{"to": 1, "error": {"x": [1]}}\')',
    "an error that is no text": "def f(a, b): raise ValueError('\\ud800')",
    "an exception whose name is no text": "def f(a, b): raise type('\\ud800', (Exception,), dict())('x')",
    "a text that is no text": "def f(a, b): return '\\ud800'",
    "a group of exceptions": "def f(a, b): raise ExceptionGroup('x', [ValueError(42)])",
    "an enumeration's text": "import enum\nclass E(str, enum.Enum):\n    A = '42'\ndef f(a, b): return E.A",
    "bytes": "def f(a, b): return b'42'",
    "a complex number": "def f(a, b): return 42 + 0j",
    "a decimal": "import decimal\ndef f(a, b): return decimal.Decimal('42.0000001') + 1",
    "a set": "def f(a, b): return {{42}}",
    "nearly": "def f(a, b): return 42.1",
}
