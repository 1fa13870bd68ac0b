"""Who builds the package is told what is missing, in one line."""

import shutil
import subprocess

import pytest

from conftest import ROOT


def configure(tmp_path, *options, **environment):
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("there is no compiler")
    off = [f"-DMOE_BUILD_{part}=OFF" for part in ("TESTS", "BENCH", "TOOLS", "EXAMPLES", "SERVE")]
    import os

    return subprocess.run(
        ["cmake", "-S", ROOT, "-B", tmp_path, "-DMOE_BUILD_PYTHON=ON", "-DMOE_INSTALL=OFF", *off, *options],
        capture_output=True, text=True, env={**os.environ, **environment},
    )


def told(done):
    return [line.strip() for line in done.stderr.splitlines() if "apt-get install" in line]


def test_missing_packages_are_named_in_one_line(tmp_path):
    done = configure(tmp_path, "-DCMAKE_DISABLE_FIND_PACKAGE_xsimd=ON", "-DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON")
    assert done.returncode != 0
    assert told(done) == ["libmoe needs packages that are missing: apt-get install libxsimd-dev libfmt-dev"]


def test_those_of_pkg_config_as_well(tmp_path):
    done = configure(tmp_path, PKG_CONFIG_LIBDIR=str(tmp_path), PKG_CONFIG_PATH="")
    assert done.returncode != 0
    (line,) = told(done)
    assert line.endswith("libpcre2-dev libutf8proc-dev libsqlite3-dev libssl-dev")
