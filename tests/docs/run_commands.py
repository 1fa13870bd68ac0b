#!/usr/bin/env python3
"""run_commands.py BIN ROOT [FILE...]: every shell command that the documentation shows, run as it stands.

Shell blocks are those fenced as `sh`; every block names its language. The blocks of a document run in its order, each in
a bash of its own that stops at the first error, all in one scratch folder that looks like the tree after scripts/test:
`build/release/bin`, on PATH as well, and links to the folders that commands read. A block is left out only with a reason:
`<!-- not run: why -->` in the line above it.

What stands in for what:
  model.gguf, models/real/*.gguf  the nano model, with a chat template
  moe-serve                       returns when the server is ready, which then runs until the document's next one, or its end
  127.0.0.1:8080                  a port that is free
  scripts/test, scripts/get-models  are looked at for the options that they are given, and not run
  cmake --build, dpkg-query       inside scripts/evaluate: everything is built and installed already

Scripts that a block starts, also one that is not run, must be executable.

Exit status: 0 all of them ran, 1 some failed, 2 wrong usage.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

SHELL = "sh"
OTHER = {"text", "c", "cpp", "cmake", "python", "json", "html", "jinja", "yaml", "diff"}
SECONDS = 120  # of one block, on a machine with much else to do
LINKED = ["bench", "docs", "examples", "include", "kernels", "python", "src", "tests", "tools"]
STAND_INS = ["test", "get-models"]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "kernels/README.md"]
FOLDERS = ["docs", "models/nano", "tools/nano"]  # whose documents are looked at as well

SERVE = """#!/usr/bin/env bash
# moe-serve that returns when it is ready.
set -u
[[ " $* " != *" --help "* ]] || exec {real} "$@"
state={state}
"$state/stop"; : >"$state/log"
{real} --port {port} "$@" </dev/null >"$state/log" 2>&1 &
echo $! >"$state/pid"
for ((i = 0; i < 300; ++i)); do
  grep -q ': http://.* serves ' "$state/log" && exit 0
  kill -0 "$(cat "$state/pid")" 2>/dev/null || break
  sleep 0.1
done
cat "$state/log"
exit 1
"""

STOP = """#!/usr/bin/env bash
[[ -f {state}/pid ]] || exit 0
kill "$(cat {state}/pid)" 2>/dev/null
while kill -0 "$(cat {state}/pid)" 2>/dev/null; do sleep 0.05; done
rm -f {state}/pid
"""

LOOKED_AT = """#!/usr/bin/env bash
# Stands in for {script}: it must know the options that it is given.
for argument; do
  grep -qF -e "${{argument%%=*}}" {script} {helper} || {{ echo "{script} does not know '$argument'"; exit 2; }}
done
"""

CMAKE = """#!/usr/bin/env bash
[[ ${1-} == --build ]] || { echo "cmake $*: only --build has a stand-in here"; exit 9; }
"""


class Block(NamedTuple):
    document: str
    line: int
    language: str
    text: str
    why_not: str  # empty: it runs

    def name(self):
        return f"{self.document}:{self.line}"


def blocks_of(document, text):
    """The fenced blocks of a Markdown text."""
    found, begin, above = [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if begin is None and stripped.startswith("```"):
            begin, language, indent, lines = number, stripped[3:].strip(), len(line) - len(line.lstrip()), []
        elif begin is not None and stripped == "```":
            body = "\n".join(lines) + "\n"
            why = above[len("<!-- not run:"):-len("-->")].strip() if above.startswith("<!-- not run:") else ""
            found.append(Block(document, begin, language, body, why))
            begin, above = None, ""
        elif begin is not None:
            lines.append(line[indent:])
        elif stripped:
            above = stripped
    if begin is not None:
        raise SystemExit(f"{document}:{begin}: the block has no end")
    return found


def write_program(path, text):
    path.write_text(text)
    path.chmod(0o755)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]  # all open at a time: no port twice
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def make_model(bin_dir, root, folder):
    """The nano model as a GGUF file with a chat template."""
    source = folder / "source"
    source.mkdir()
    for file in (root / "models/nano/nano-moe").iterdir():
        (source / file.name).symlink_to(file)
    (source / "chat_template.jinja").symlink_to(root / "tests/serve/chat.jinja")
    model = folder / "model.gguf"
    subprocess.run([bin_dir / "moe-quantize", source, model, "--type", "f16"], check=True, capture_output=True)
    return model


def furnish(folder, bin_dir, root, model, port):
    """The scratch folder of one document; the environment of its commands."""
    tree, state, first = folder / "libmoe", folder / "serve", folder / "first"
    for path in [tree / "build/release/bin", tree / "models/real", tree / "scripts", state, first]:
        path.mkdir(parents=True)
    for name in LINKED:
        (tree / name).symlink_to(root / name)
    # Folders of its own: a command that writes beside a model must not write into the tree.
    shutil.copytree(root / "models/nano", tree / "models/nano", copy_function=os.symlink)
    for name in ["SmolLM2-135M-Instruct.Q4_1.gguf", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf"]:
        (tree / "models/real" / name).symlink_to(model)
    (tree / "model.gguf").symlink_to(model)
    (tree / "build/release/build.ninja").touch()  # so that scripts/evaluate takes it for configured
    for program in bin_dir.iterdir():
        if program.name != "moe-serve":
            (tree / "build/release/bin" / program.name).symlink_to(program)
    for script in (root / "scripts").iterdir():
        helper = root / "scripts" / (script.name.replace("-", "_") + ".py")
        if script.name in STAND_INS:
            write_program(tree / "scripts" / script.name,
                          LOOKED_AT.format(script=script, helper=helper if helper.exists() else ""))
        else:
            (tree / "scripts" / script.name).symlink_to(script)
    write_program(tree / "build/release/bin/moe-serve", SERVE.format(real=bin_dir / "moe-serve", state=state, port=port))
    write_program(state / "stop", STOP.format(state=state))
    write_program(first / "cmake", CMAKE)
    write_program(first / "dpkg-query", "#!/bin/sh\nprintf installed\n")
    (folder / ".curlrc").write_text("fail-with-body\nno-progress-meter\n")  # a status of 400 and more fails the block
    environment = {**os.environ, "PATH": f"{first}:{tree}/build/release/bin:{os.environ['PATH']}", "HOME": str(folder),
                   "MOE_THREADS": "1", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    return tree, state, environment


def run(block, port, tree, environment):
    """The complaint about a block, or nothing."""
    text = block.text.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    # A session of its own, so that a block that hangs ends with all that it started.
    process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", text], cwd=tree, env=environment, text=True, errors="replace",
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=SECONDS)
        ended = f"exit status {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        ended = f"not done after {SECONDS} s"
    if process.returncode == 0:
        return ""
    return f"{block.name()}: {ended}\n{block.text}--- its output ends with\n{output[-2000:]}"


def run_document(document, blocks, bin_dir, root, model, port):
    """The complaints about a document, how many of its blocks ran, and what to say of it."""
    complaints, said, ran, started = [], [], 0, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        tree, state, environment = furnish(pathlib.Path(scratch), bin_dir, root, model, port)
        try:
            for block in blocks:
                if "curl " in block.text and shutil.which("curl") is None:
                    said.append(f"SKIPPED {block.name()}: curl is not installed")
                    continue
                complaint = run(block, port, tree, environment)
                ran += 1
                if complaint:
                    complaints.append(complaint)
        finally:
            subprocess.run([state / "stop"], check=False)
    said.append(f"{document}: {ran} run, {len(complaints)} failed in {time.monotonic() - started:.1f} s")
    return complaints, ran, said


def documents_of(root):
    found = [path for folder in FOLDERS for path in (root / folder).rglob("*.md")]
    return DOCUMENTS + sorted(str(path.relative_to(root)) for path in found)


# What may stand before the name of a program.
BEFORE = {"time", "do", "then", "else", "if", "while", "!", "exec", "nohup", "sudo", "nice", "env"}


def not_executable(block, root):
    """Complaints about files of the tree that the block starts as programs, which cannot be started."""
    for line in block.text.splitlines():
        for command in re.split(r"&&|\|\|?|;|[$<>]?\(|`", line.split(" #")[0]):
            words = [word.rstrip(")") for word in command.split() if "=" not in word and word not in BEFORE] or [""]
            path = root / words[0]
            if not words[0].startswith("/") and path.is_file() and not os.access(path, os.X_OK):
                yield f"{block.name()}: {words[0]} is not executable, and the block starts it"
            elif words[0].startswith(("scripts/", "bench/", "packaging/")) and not path.exists():
                yield f"{block.name()}: {words[0]} does not exist, and the block starts it"


def sort_blocks(documents, root):
    """What to run by document; complaints and how many blocks are left out."""
    to_run, complaints, left_out = {}, [], 0
    for document in documents:
        for block in blocks_of(document, (root / document).read_text(encoding="utf-8")):
            if block.language != SHELL and block.language not in OTHER:
                complaints.append(f"{block.name()}: the block's language is '{block.language}', expected {SHELL} or one of "
                                  f"{', '.join(sorted(OTHER))}")
                continue
            if block.language == SHELL:
                complaints += not_executable(block, root)
            if block.why_not:
                left_out += 1
                print(f"not run: {block.name()}: {block.why_not}")
            elif block.language == SHELL:
                to_run.setdefault(document, []).append(block)
    return to_run, complaints, left_out


def main(arguments):
    if len(arguments) < 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    bin_dir, root = pathlib.Path(arguments[0]).resolve(), pathlib.Path(arguments[1]).resolve()
    to_run, complaints, left_out = sort_blocks(arguments[2:] or documents_of(root), root)
    ran = 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(2) as pool:
        model = make_model(bin_dir, root, pathlib.Path(scratch))
        runs = [pool.submit(run_document, document, blocks, bin_dir, root, model, port)
                for (document, blocks), port in zip(to_run.items(), free_ports(len(to_run)))]
        for one in runs:
            found, count, said = one.result()
            complaints += found
            ran += count
            print("\n".join(said), flush=True)
    for complaint in complaints:
        print(f"FAILED: {complaint}")
    print(f"{ran} blocks run, {len(complaints)} complaints, {left_out} blocks not run for the reasons above")
    return 1 if complaints or ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
