"""Threads, os.fork(), and the end of the interpreter."""

import multiprocessing
import subprocess
import sys
import threading
import time

import pytest

import libmoe
from conftest import NANO, PROMPT, ROOT, run_python


def test_eight_threads_one_model():
    soak = subprocess.run(
        [sys.executable, ROOT / "python" / "tests" / "soak.py", "--seconds", "3"],
        capture_output=True, text=True, timeout=120,
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert " 0 differ, 0 threads raised" in soak.stdout


def test_python_runs_while_native_code_does(slow_model):
    """The GIL is released: the main thread counts while another is in one long step."""
    session = slow_model.session()
    sequence = session.open()
    thread = threading.Thread(target=session.step, args=(sequence, [1] * 3000))
    thread.start()
    counted = 0
    while thread.is_alive():
        counted += 1
        time.sleep(0.001)
    assert counted > 50


def test_a_session_serves_one_thread_at_a_time(slow_model):
    session = slow_model.session()
    sequence = session.open()
    thread = threading.Thread(target=session.step, args=(sequence, [1] * 2000))
    thread.start()
    refused = 0
    while thread.is_alive():
        try:
            session.length(sequence)
        except libmoe.ArgumentError as error:
            assert "another thread" in str(error)
            refused += 1
        time.sleep(0.005)
    assert refused > 0 and session.length(sequence) == 2000


FORK = """
import libmoe, os, sys
m = libmoe.Model(os.environ["NANO"], threads={threads})
expected = m.generate("Question: Who", max_tokens=4).tokens
session = m.session()
stream = m.generate("Question: Who", max_tokens=500, stream=True, ignore_eos=True) if {stream} else None
pid = os.fork()
if pid == 0:
    for call in (lambda: m.generate("Question: Who", max_tokens=4).tokens, lambda: session.open(),
                 lambda: m.score("a", " b"), lambda: libmoe.Model(os.environ["NANO"], threads={threads}),
                 lambda: m.tokenizer.encode("a"), lambda: next(stream) if stream else m.session()):
        try:
            found = call()
            print("fine", found == expected)
        except libmoe.Error as error:
            print(error.code, "spawn" in str(error) or "fork" in str(error))
    if stream:
        stream.close()
    del stream, session, m, call
    sys.stdout.flush()
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert m.generate("Question: Who", max_tokens=4).tokens == expected
"""


def test_children_of_fork_are_told():
    done = run_python(FORK.format(threads=2, stream=True))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == ["unsupported True"] * 6
    assert "leak" not in done.stderr


def test_fork_without_threads_works():
    done = run_python(FORK.format(threads=1, stream=False))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "fine True" and "unsupported" not in done.stdout


def replies_of_a_child(path):
    return libmoe.Model(path, threads=2).generate("Question: Who", max_tokens=4).tokens


def test_spawn_works(model):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(replies_of_a_child, [str(NANO)])
    assert found == [model.generate("Question: Who", max_tokens=4).tokens]


EXIT = """
import libmoe, os, sys, threading, time
m = libmoe.Model(os.environ["NANO"], threads=2)
session = m.session()
kept = [m.tokenizer, session, session.step(session.open(), [5, 6]), m.generate("Question", max_tokens=2), m.info,
        libmoe.RouterConfig.deepseek_v3(), m.score("a", " b"), libmoe.inspect(os.environ["NANO"]), m.flops(3)]
stream = m.generate("Question", max_tokens=900, stream=True, ignore_eos=True)
next(stream)
def work():
    while True:
        try:
            m.generate("Question: Who", max_tokens=200, ignore_eos=True)
        except libmoe.Error:
            time.sleep(0.001)
def read():
    while True:
        try:
            for piece in m.generate("Question: Who", max_tokens=200, stream=True, ignore_eos=True):
                pass
        except libmoe.Error:
            time.sleep(0.001)
def report(done, total):
    time.sleep(0.001)
def load():
    while True:
        try:
            libmoe.Model(os.environ["NANO"], threads=1, progress=report)
        except libmoe.Error:
            time.sleep(0.001)
for target in (work, read, read, load):
    threading.Thread(target=target, daemon=True).start()
time.sleep(0.2)
sys.{how}
"""


@pytest.mark.parametrize("how", ["stdout.flush()", "exit(0)"])
def test_the_interpreter_ends_with_everything_alive(how):
    for _ in range(3):
        done = run_python(EXIT.format(how=how))
        assert (done.returncode, done.stderr) == (0, "")


def test_nothing_leaks_in_a_plain_program():
    done = run_python(
        "import libmoe, os\n"
        "m = libmoe.Model(os.environ['NANO'])\n"
        "s = m.session(); q = s.open(); a = s.step(q, [5])\n"
        "r = m.generate('Question', max_tokens=3, stream=True); list(r)\n"
        "try: s.step(q, [-1])\n"
        "except libmoe.Error as e: kept = e\n"
        "r = libmoe.route([[1, 2]], libmoe.RouterConfig(2, 1))\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_isa(model):
    code = (
        "import libmoe, os\n"
        "m = libmoe.Model(os.environ['NANO'], threads=1)\n"
        f"print(libmoe.active_isa(), m.generate({PROMPT!r}, max_tokens=12).tokens)\n"
    )
    done = run_python(code, MOE_ISA="scalar")
    assert done.stdout == f"scalar {model.generate(PROMPT, max_tokens=12).tokens}\n", done.stderr
    wrong = run_python(code, MOE_ISA="z80")
    assert wrong.returncode == 1 and "MOE_ISA" in wrong.stderr
