"""Programs that cheat or attack: none may pass, change anything outside, or leave a process behind.

The gold answer to every one of them is 42. `{secret}` is a file outside that holds it; `{canary}` one that
must not change; `{folder}` their folder; `{tcp}`, `{udp}` open ports on the loopback; `{unix}`, `{abstract}`
listening sockets; `{pid}` the judge's process; `{mark}` a word in the row's answer.
"""

from __future__ import annotations

# printed as the answer to "6 7" on stdin; the gold output is 42
STREAMS = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "quiet fork bomb": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass""",
    "thread bomb": """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(100,)).start()""",
    "memory bomb": "x = []\nwhile True:\n    x.append(bytearray(1 << 24))",
    "memory bomb in many processes": """
import os
for _ in range(5):
    os.fork()
x = []
while True:
    try:
        x.append(b"x" * (1 << 22))
    except MemoryError:
        pass""",
    "memory bomb by one allocation": "x = b'x' * (1 << 40)\nprint(42)",
    "shared memory bomb": """
import mmap
x = []
while True:
    m = mmap.mmap(-1, 1 << 26)
    m.write(b"x" * (1 << 26))
    x.append(m)""",
    "memfd bomb": """
import os
fds = []
while True:
    fd = os.memfd_create("x")
    for _ in range(60):
        os.write(fd, b"x" * (1 << 20))
    fds.append(fd)""",
    "big integer": "print(9 ** 9 ** 9 ** 9)",
    "pipe bomb": """
import os
ends = []
while True:
    r, w = os.pipe()
    os.set_blocking(w, False)
    try:
        while True:
            os.write(w, b"x" * 65536)
    except BlockingIOError:
        pass
    ends.append((r, w))""",
    "endless stdout": "while True:\n    print('x' * 10000)",
    "endless stderr": "import sys\nwhile True:\n    sys.stderr.write('x' * 10000)",
    "one huge line": "import sys\nsys.stdout.write('4' * (1 << 26))",
    "the answer, then far too much": "print(42)\nwhile True:\n    print()",
    "sleeps": "import time\ntime.sleep(1000)\nprint(42)",
    "busy": "while True:\n    pass",
    "busy in C": "import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')\nprint(42)",
    "sleeps after closing its output": "import os, time\nos.close(1)\nos.close(2)\ntime.sleep(1000)",
    "stops itself": """
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)
os.kill(0, signal.SIGSTOP)
print(0)""",
    "ignores signals": """
import signal, time
for s in range(1, 65):
    try:
        signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    time.sleep(1)""",
    "kills itself": "import os\nos.kill(os.getpid(), 9)\nos.abort()",
    "crashes": "import ctypes\nctypes.string_at(0)",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1) + 1\nprint(f(0))",
    "deep recursion in C": "x = []\nfor _ in range(10**6):\n    x = [x]\nprint(repr(x))",
    "generator that never ends": "def g():\n    while True:\n        yield 1\nprint(sum(g()))",
    "reads the answer outside": "print(open('{secret}').read())",
    "reads through its own /proc": "print(open('/proc/self/root{secret}').read())",
    "reads through process 1": "print(open('/proc/1/root{secret}').read())",
    "reads through process 1's folder": "print(open('/proc/1/cwd/../../{secret}').read())",
    "reads through the judge's /proc": "print(open('/proc/{pid}/root{secret}').read())",
    "reads by symbolic link": "import os\nos.symlink('{secret}', 'link')\nprint(open('link').read())",
    "reads by hard link": "import os\nos.link('{secret}', 'link')\nprint(open('link').read())",
    "climbs out": "print(open('../' * 40 + '{secret}').read())",
    "walks everything": """
import os
for top, _, files in os.walk('/', followlinks=True):
    for name in files:
        if name == 'secret-{mark}':
            print(open(os.path.join(top, name)).read())""",
    "chroots out": """
import os
os.mkdir('x')
fd = os.open('/', os.O_RDONLY)
os.chroot('x')
os.fchdir(fd)
for _ in range(40):
    os.chdir('..')
os.chroot('.')
print(open('{secret}').read())""",
    "mounts": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for kind, source in ((b'proc', b'proc'), (b'ext4', b'/dev/vda'), (b'tmpfs', b'x'), (b'devtmpfs', b'x')):
    print(libc.mount(source, b'/tmp', kind, 0, None), ctypes.get_errno())
print(open('{secret}').read())""",
    "unmounts": """
import ctypes
print(ctypes.CDLL(None).umount2(b'/proc', 2), open('/proc/{pid}/environ').read())""",
    "user namespace in the user namespace": """
import ctypes
print(ctypes.CDLL(None).unshare(0x10000000 | 0x20000))
print(ctypes.CDLL(None).umount2(b'/proc', 2))
print(open('/proc/{pid}/root{secret}').read())""",
    "clone with namespaces": "import ctypes\nprint(ctypes.CDLL(None).syscall(56, 0x10000011, 0, 0, 0, 0))",
    "joins the judge's namespaces": """
import ctypes, os
fd = os.pidfd_open({pid})
print(ctypes.CDLL(None).setns(fd, 0x20000), open('{secret}').read())""",
    "becomes root": "import os\nos.setuid(0)\nprint(open('/etc/shadow').read())",
    "becomes root by effective id": "import os\nos.seteuid(0)\nprint(open('{secret}').read())",
    "reads the shadow file": "print(42 if 'root' in open('/etc/shadow').read() else 0)",
    "reads its environment": "import os\nprint(os.environ['CURATE_ATTACK_ANSWER'])",
    "reads the environment of process 1": """
print(open('/proc/1/environ').read().split('CURATE_ATTACK_ANSWER=')[1][:2])""",
    "reads the memory of process 1": """
import re
print(0)
for line in open('/proc/1/maps'):
    a, b = (int(x, 16) for x in line.split()[0].split('-'))
    with open('/proc/1/mem', 'rb') as f:
        f.seek(a)
        if b'secret-{mark}' + b'-is-' in f.read(b - a):
            print(42)""",
    "writes the memory of the judge": "open('/proc/{pid}/mem', 'r+b').write(b'x')",
    "traces the judge": "import ctypes\nprint(ctypes.CDLL(None).ptrace(16, {pid}, 0, 0))",
    "traces process 1": """
import ctypes, os
if not os.fork():
    print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))
os.wait()""",
    "reads the memory of another by system call": """
import ctypes
b = ctypes.create_string_buffer(64)
print(ctypes.CDLL(None).process_vm_readv({pid}, b, 1, b, 1, 0))""",
    "kills the judge": "import os\nos.kill({pid}, 9)",
    "kills all": "import os\nos.kill(-1, 9)\nprint(0)",
    "kills every number": """
import os
for pid in range(2, 70000):
    try:
        os.kill(pid, 9)
    except OSError:
        pass
print(0)""",
    "kills its group": "import os\nos.killpg(0, 9)\nprint(0)",
    "writes outside": "open('{canary}', 'w').write('changed')\nprint(42)",
    "appends outside by descriptor of a folder": """
import os
fd = os.open('{folder}', os.O_RDONLY)
os.unlink('canary', dir_fd=fd)
print(42)""",
    "removes the folder": "import shutil\nshutil.rmtree('{folder}')\nprint(42)",
    "removes everything": "import shutil\nshutil.rmtree('/', ignore_errors=True)\nprint(0)",
    "writes into the library": "import json\nopen(json.__file__, 'a').write('#')\nprint(42)",
    "renames outside": "import os\nos.rename('{canary}', '{canary}.gone')\nprint(42)",
    "makes a device": "import os, stat\nos.mknod('sda', stat.S_IFBLK | 0o666, os.makedev(254, 0))\nprint(42)",
    "fills its folder": """
i = 0
while True:
    open(str(i), 'wb').write(b'x' * (1 << 20))
    i += 1""",
    "fills one file": "f = open('x', 'wb')\nwhile True:\n    f.write(b'x' * (1 << 20))",
    "makes files without end": "i = 0\nwhile True:\n    open(str(i), 'w').close()\n    i += 1",
    "fills /dev/shm": """
i = 0
while True:
    open(f'/dev/shm/{{i}}', 'wb').write(b'x' * (1 << 22))
    i += 1""",
    "opens without end": "x = []\nwhile True:\n    x.append(open('/dev/null'))",
    "connects": """
import socket
s = socket.create_connection(('127.0.0.1', {tcp}), 1)
print(s.recv(9).decode())""",
    "connects by IPv6": "import socket\nsocket.socket(socket.AF_INET6).connect(('::1', {tcp}))\nprint(42)",
    "sends a datagram": """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp}))
print(42)""",
    "connects to a socket in the file system": """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect('{unix}')
print(s.recv(9).decode())""",
    "connects to an abstract socket": """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect('\\0{abstract}')
print(s.recv(9).decode())""",
    "listens": "import socket\ns = socket.socket()\ns.bind(('0.0.0.0', 0))\ns.listen()\ns.accept()",
    "asks a name server": "import socket\nprint(socket.gethostbyname('example.org'))",
    "fetches": """
import urllib.request
print(urllib.request.urlopen('http://127.0.0.1:{tcp}/', timeout=1).read())""",
    "raw socket": "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)\nprint(42)",
    "starts a shell": "import os\nos.system('echo 42')",
    "starts a program": """
import subprocess
print(subprocess.run(['/bin/echo', '42'], capture_output=True).stdout.decode())""",
    "starts Python": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(42)'])",
    "leaves a daemon": """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        while True:
            time.sleep(0.1)
    os._exit(0)
print(0)""",
    "leaves a daemon that holds the output": """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(1000)
        print(42)
print(0)""",
    "leaves zombies": "import os\nfor _ in range(50):\n    if not os.fork():\n        os._exit(0)\nprint(0)",
    "closes every descriptor": "import os\nos.closerange(0, 256)\nprint(42)",
    "guesses descriptors": """
import os
for fd in range(3, 256):
    try:
        os.write(fd, b'run')
        print(os.read(fd, 100000))
    except OSError:
        pass""",
    "says passed": "print('passed')\nprint('equal')",
    "leaves without a word": "import os\nos._exit(0)",
    "leaves politely": "import sys\nsys.exit(0)",
    "leaves with the code of success at the end": "import atexit, os\natexit.register(os._exit, 0)\nprint(0)",
    "prints the input": "print(input())",
    "prints all small numbers": "for i in range(100):\n    print(i)",
    "prints many answers in a line": "print(*range(100))",
    "prints the answer among text": "print('The answer is 42')",
    "clears the line before": "print('0\\r42')",
    "backspaces": "print('0\\b42')",
    "answers in other digits": "print('\\u0664\\u0662')",
    "walks the frames": """
import sys
found = []
f = sys._getframe()
while f:
    found += [v for v in (*f.f_locals.values(), *f.f_globals.values()) if 'secret-{mark}' + '-is' in repr(v)]
    f = f.f_back
print(42 if found else 0)""",
    "walks the garbage collector": """
import gc
texts = (str(o)[:10000] for o in gc.get_objects() if type(o) in (dict, list))
print(42 if any('secret-{mark}' + '-is' in text for text in texts) else 0)""",
    "imports the judge": "import curate.sandbox.judge\nprint(42)",
    "asks for modules of the judge": """
import sys
print(42 if any('curate' in name or 'polars' in name for name in sys.modules) else 0)""",
    "reads what it was started with": """
import os
os.lseek(3, 0, 0)
print(42 if b'secret-{mark}' + b'-is-' in os.read(3, 1 << 20) else 0)""",
    "sets the clock": "import time\ntime.clock_settime(0, 0)\nprint(42)",
    "names the machine": "import socket\nsocket.sethostname('owned')\nprint(42)",
    "raises its own limits": """
import resource
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print(42)""",
    "is nice to itself": "import os\nos.nice(-20)\nprint(42)",
    "loads a kernel module": "import ctypes\nprint(ctypes.CDLL(None).syscall(175, 0, 0, b''))",
    "io_uring": "import ctypes\nprint(ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120)))",
    "keeps a key": "import ctypes\nprint(ctypes.CDLL(None).syscall(250, 0, -3, 1))",
    "old system calls": "import ctypes\nprint(ctypes.CDLL(None).syscall(0x40000000 + 39))",
    "pickle bomb": "import pickle\npickle.loads(b'c__builtin__\\nexec\\n(Vimport os; os._exit(0)\\ntR.')",
    "compressed bomb": """
import zlib
x = zlib.compress(b'0' * (1 << 24))
print(len(b''.join(zlib.decompress(x) for _ in range(1000))))""",
    "syntax bomb": "(" * 5000,
    "compiler bomb": "x = " + "-" * 100_000 + "1",
    "compiler bomb by constants": "x = (1 << 30) ** (1 << 30)",
    "null bytes": "print(42)\0",
    "no program at all": " ",
}

# the function f is called as f(6, 7), and must answer 42
CALLS = {
    "equals everything": """
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 42
def f(a, b): return Any()""",
    "an integer that equals everything": """
class Any(int):
    def __eq__(self, other): return True
    def __hash__(self): return 42
    def __index__(self): return 42
    def __repr__(self): return '42'
def f(a, b): return Any(0)""",
    "a text that equals everything": """
class Any(str):
    def __eq__(self, other): return True
    def __hash__(self): return 42
def f(a, b): return Any('x')""",
    "a float that equals everything": """
class Any(float):
    def __eq__(self, other): return True
    def __float__(self): return 42.0
    def __pos__(self): return 42.0 if False else self
def f(a, b): return Any(0)""",
    "a list that equals everything": """
class Any(list):
    def __eq__(self, other): return True
def f(a, b): return Any()""",
    "a class that lies of its class": """
class Any:
    __class__ = int
    def __eq__(self, other): return True
def f(a, b): return Any()""",
    "not a number": "def f(a, b): return float('nan')",
    "infinity": "def f(a, b): return float('inf')",
    "the text of the answer": "def f(a, b): return '42'",
    "a list of the answer": "def f(a, b): return [42]",
    "true": "def f(a, b): return True",
    "itself": "def f(a, b): return f",
    "all answers": "def f(a, b): return list(range(100))",
    "a generator of answers": "def f(a, b):\n    while True:\n        yield 42",
    "never returns": "def f(a, b):\n    while True: pass",
    "returns too much": "def f(a, b): return 'x' * (1 << 25)",
    "returns very deep": "def f(a, b):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "returns itself inside": "def f(a, b):\n    x = []\n    x.append(x)\n    return x",
    "leaves": "import os\ndef f(a, b): os._exit(0)",
    "leaves politely": "def f(a, b): raise SystemExit(0)",
    "leaves at the start": "import os\nos._exit(0)",
    "raises": "def f(a, b): raise AssertionError",
    "raises what cannot be shown": """
class Odd(BaseException):
    def __str__(self): raise self
def f(a, b): raise Odd""",
    "has no such function": "def g(a, b): return 42",
    "is no function": "f = 42",
    "patches the built-in functions": """
import builtins
builtins.isinstance = lambda *a: True
builtins.type = lambda *a: int
builtins.len = lambda *a: 1
builtins.all = builtins.any = lambda *a: True
def f(a, b): return 0""",
    "patches json": """
import json
json.dumps = lambda *a, **k: 'true'
json.loads = lambda *a, **k: {'what': 'find', 'name': 'f', 'number': 0}
def f(a, b): return 0""",
    "replaces modules": """
import sys
for name in list(sys.modules):
    sys.modules[name] = None
def f(a, b): return 0""",
    "hooks imports": """
import sys
class Hook:
    def find_spec(self, name, path=None, target=None): print(42); return None
sys.meta_path.insert(0, Hook())
def f(a, b):
    import nothing_like_it
    return 0""",
    "traces every line": """
import sys
def trace(frame, event, arg):
    for name in frame.f_locals:
        if name in ('value', 'answer', 'told'): frame.f_locals[name] = 42
    return trace
sys.settrace(trace)
def f(a, b): return 0""",
    "writes passed on the line": """
import os
def f(a, b):
    for fd in range(3, 256):
        try: os.write(fd, b'passed')
        except OSError: pass
    return 0""",
    "closes the line": "import os\ndef f(a, b):\n    os.closerange(3, 256)\n    return 0",
    "floods the line": """
import os
def f(a, b):
    while True: os.write(4, b'\\0\\0\\0\\2{}')""",
    "announces a frame without end": "import os\nos.write(4, b'\\xff\\xff\\xff\\xff')\ndef f(a, b): return 0",
    "writes frames that are no JSON": "import os\nos.write(4, b'\\0\\0\\0\\2]]')\ndef f(a, b): return 0",
    "writes frames of another shape": "import os\nos.write(4, b'\\0\\0\\0\\2[]' * 9)\ndef f(a, b): return 0",
    "writes deep JSON": "import os\nos.write(4, b'\\0\\1\\x86\\xa0' + b'[' * 100000)\ndef f(a, b): return 0",
    "writes a long number": """
import os
os.write(4, b'\\0\\1\\x86\\xa0' + b'1' * 100000)
def f(a, b): return 0""",
    "never reads": "import time\ntime.sleep(1000)\ndef f(a, b): return 0",
    "reads the caller's frames": """
import sys
def f(a, b):
    frame = sys._getframe()
    while frame:
        for v in (*frame.f_locals.values(), *frame.f_globals.values()):
            if type(v) in (list, dict, tuple, str) and 'secret-{mark}' + '-is' in repr(v): return 42
        frame = frame.f_back
    return 0""",
    "searches all objects": """
import gc
def f(a, b):
    texts = (str(o)[:10000] for o in gc.get_objects() if type(o) is dict)
    return 42 if any('secret-{mark}' + '-is' in text for text in texts) else 0""",
    "answers by exit code": "import os\ndef f(a, b): os._exit(42)",
}

# `assert f(6, 7) == 42`, `assert f(2, 3) == 6`: these cheats are aimed at what stands around the tests
ASSERTS = {
    **{
        name: CALLS[name]
        for name in CALLS
        if name not in ("reads the caller's frames", "searches all objects")
    },
    "reads the test in the caller's frames": """
import sys
def f(a, b):
    frame = sys._getframe()
    while frame:
        if 'assert f' + '(6, 7)' in repr(frame.f_locals) + repr(frame.f_globals): return a * b
        frame = frame.f_back""",
    "reads the test in memory": """
import gc
def f(a, b):
    for o in gc.get_objects():
        if type(o) in (dict, list, str) and '=' + '= 42' in str(o)[:100000]: return a * b""",
    "reads the test in the source": """
import inspect, linecache
def f(a, b):
    text = ''.join(''.join(v[2]) for v in linecache.cache.values() if len(v) > 2)
    return a * b if '=' + '= 42' in text else 0""",
    "makes asserts vanish": """
import builtins, sys
builtins.AssertionError = KeyError
sys.flags = None
def f(a, b): return 0""",
    "defines the check itself": "def check(candidate): pass\ndef f(a, b): return 0",
    "raises to leave the test": "def f(a, b): raise SystemExit(0)",
    "kills the test by a signal": """
import os
def f(a, b):
    os.kill(-1, 9)
    os.kill(os.getppid(), 9)
    return 0""",
    "claims the last word": """
import json, os, struct
def say(x):
    data = json.dumps(x).encode()
    for fd in range(3, 256):
        try: os.write(fd, struct.pack('>I', len(data)) + data)
        except OSError: pass
for mark in ('', None, '0' * 32):
    say({'mark': mark, 'word': 'end', 'held': 2, 'seen': 2, 'asserts': 2, 'first': ''})
def f(a, b): return 0""",
}
