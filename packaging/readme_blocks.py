#!/usr/bin/env python3
"""readme_blocks.py ROOT OUT: the commands of ROOT/README.md as scripts in the folder OUT, named by their lines.

Every block of the shell is one, those that the tests leave out as well, and every Python program. What is added:
  moe-serve       is started in the background, and the script waits until it is ready
  pkg-config      what the document asks for first: an installed library, and a model.gguf
  import libmoe   runs with the environment that the block of pip made
"""

import importlib.util
import pathlib
import sys

SERVE = r"""
serve() {
  [[ ! -f /tmp/serve.pid ]] || kill "$(cat /tmp/serve.pid)" || true
  "$@" >/tmp/serve.log 2>&1 </dev/null &
  echo $! >/tmp/serve.pid
  for ((i = 0; i < 600; ++i)); do
    if grep -q ' serves ' /tmp/serve.log; then return 0; fi
    if ! kill -0 "$(cat /tmp/serve.pid)"; then cat /tmp/serve.log; return 1; fi
    sleep 0.2
  done
  cat /tmp/serve.log; return 1
}
"""
C_NEEDS = """cmake --install build/release >/dev/null
ldconfig
build/release/bin/moe-quantize models/nano/nano-moe model.gguf --type f16
"""


def script_of(block):
    lines = [f"serve {line}" if line.startswith("build/release/bin/moe-serve ") else line for line in block.text.splitlines()]
    text = "\n".join(lines) + "\n"
    if block.language == "python":
        return f"venv/bin/python - <<'END_OF_BLOCK'\n{text}END_OF_BLOCK\n"
    return SERVE + (C_NEEDS if "pkg-config" in text else "") + text


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    root, out = pathlib.Path(arguments[0]), pathlib.Path(arguments[1])
    spec = importlib.util.spec_from_file_location("run_commands", root / "tests/docs/run_commands.py")
    commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(commands)
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for block in commands.blocks_of("README.md", (root / "README.md").read_text(encoding="utf-8")):
        if block.language in {commands.SHELL, "python"}:
            (out / f"{block.line:03}.sh").write_text(script_of(block), encoding="utf-8")
            count += 1
    print(f"{count} blocks")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
