"""The same bits as the programs of this tree."""

import subprocess

import numpy as np
import pytest

import libmoe
from conftest import NANO, PROMPT, program


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.9, "seed": 11, "top_p": 0.9}])
def test_generate_is_moe_run(model, sampling):
    options = ["--temp", str(sampling.get("temperature", 0)), "--seed", str(sampling.get("seed", 0)), "--top-p",
               str(sampling.get("top_p", 1))]
    out = subprocess.run(
        [program("moe-run"), "--model", NANO, "--prompt", PROMPT, "-n", "40", "--threads", "1", *options],
        check=True, capture_output=True,
    )
    assert model.generate(PROMPT, max_tokens=40, **sampling).text + "\n" == out.stdout.decode()


@pytest.mark.parametrize("precision, kv", [("auto", "f16"), ("reference", "f32")])
def test_logits_are_moe_runs(model, tmp_path, precision, kv):
    ids = model.tokenizer.encode(PROMPT)
    subprocess.run(
        [program("moe-run"), "--model", NANO, "--tokens", " ".join(map(str, ids)), "-n", "0", "--threads", "1",
         "--precision", precision, "--logits", tmp_path / "l.npy"],
        check=True, capture_output=True,
    )
    session = model.session(precision=precision)
    found = session.step(session.open(), ids, logits="all", padded=True)
    np.testing.assert_array_equal(found, np.load(tmp_path / "l.npy"))
    assert libmoe.Model(NANO, precision=precision)._settings.kv == kv


def test_threads_change_no_bit(model):
    one = libmoe.Model(NANO, threads=1)
    assert one.generate(PROMPT, max_tokens=20).tokens == model.generate(PROMPT, max_tokens=20).tokens
    labels = [" a", " b c", " Marlund"]
    assert [s.log_likelihood for s in one.score(PROMPT, labels)] == [
        s.log_likelihood for s in model.score(PROMPT, labels)
    ]
