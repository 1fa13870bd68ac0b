import gc
import pathlib
import shutil
import threading

import numpy as np
import pytest

import libmoe
from conftest import NANO, PROMPT


@pytest.fixture
def ids(model):
    return model.tokenizer.encode(PROMPT)


def test_shapes(model, ids):
    session = model.session()
    sequence = session.open()
    every = session.step(sequence, ids, logits="all")
    assert every.shape == (len(ids), 1792) and every.dtype == np.float32
    assert session.step(sequence, ids).shape == (1, 1792)
    assert session.step(sequence, ids, logits="none").shape == (0, 1792)
    assert session.length(sequence) == 3 * len(ids)
    assert "Session" in repr(session)


def test_steps_forks_and_rewinds_give_the_same_bits(model, ids):
    session = model.session()
    whole = session.open()
    expected = session.step(whole, ids, logits="all")
    parts = session.open()
    found = np.concatenate([session.step(parts, ids[i : i + 3], logits="all") for i in range(0, len(ids), 3)])
    np.testing.assert_array_equal(found, expected)
    session.rewind(whole, 4)
    np.testing.assert_array_equal(session.step(whole, ids[4:], logits="all"), expected[4:])
    session.rewind(whole, 4)
    fork = session.fork(whole)
    left, right = session.step_batch([(whole, ids[4:]), (fork, np.array(ids[4:]))])
    np.testing.assert_array_equal(left, expected[-1:])
    np.testing.assert_array_equal(right, expected[-1:])
    session.close(fork)
    with pytest.raises(libmoe.ArgumentError, match="not open"):
        session.length(fork)


def test_batches_split_their_rows(model, ids):
    session = model.session()
    a, b = session.open(), session.open()
    rows = session.step_batch([(a, ids), (b, ids[:2])], logits="all")
    assert [r.shape[0] for r in rows] == [len(ids), 2]
    np.testing.assert_array_equal(rows[0][:2], rows[1])
    assert [r.shape for r in session.step_batch([(a, [5]), (b, [5])], logits="none")] == [(0, 1792)] * 2
    assert session.step_batch([]) == []


def test_logits_are_read_only_and_never_dangle(model, ids):
    session = model.session()
    sequence = session.open()
    kept, copies = [], []
    for i in range(50):
        kept.append(session.step(sequence, ids[: 1 + i % len(ids)], logits="all"))
        copies.append(kept[-1].copy())
        if i == 25:
            session.rewind(sequence, 0)
    one_row = kept[3][1]
    row_copy = one_row.copy()
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0, 0] = 1.0
    with pytest.raises(ValueError):
        kept[0].setflags(write=True)
    other = libmoe.Model(NANO, threads=1)
    last_session = other.session()
    last = last_session.step(last_session.open(), ids)
    last_copy = last.copy()
    del session, last_session, other
    gc.collect()
    trash = [np.full(1792 * 40, 7.0, np.float32) for _ in range(50)]
    for found, expected in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(found, expected)
    del kept, found
    gc.collect()
    np.testing.assert_array_equal(one_row, row_copy)
    np.testing.assert_array_equal(last, last_copy)
    assert trash


def test_views_are_no_copies(model, ids):
    session = model.session()
    logits = session.step(session.open(), ids, logits="all")
    assert logits.base is not None and not logits.flags.owndata


def test_padding(model, ids):
    session = model.session()
    sequence = session.open()
    padded = session.step(sequence, ids, padded=True)
    assert padded.shape == (1, model.info.vocab_size)


def test_greedy_by_hand_is_generate(model, ids):
    session = model.session()
    sequence = session.open()
    found, step = [], list(ids)
    for _ in range(8):
        found.append(int(session.step(sequence, step)[0].argmax()))
        step = [found[-1]]
    assert found == model.generate(ids, max_tokens=8, ignore_eos=True).tokens


def test_routing(model, ids):
    session = model.session(record_routing=True)
    session.step(session.open(), ids)
    layers = session.routing
    assert [len(layer) for layer in layers] == [0, len(ids), len(ids)]
    experts, weights = layers[1][0]
    assert len(experts) == len(weights) == 4 and len(set(experts)) == 4


def test_kv_types_and_precisions(model, ids):
    found = {}
    for precision in ("auto", "reference"):
        for kv in ("f32", "f16", "bf16", "q8_0"):
            session = model.session(precision=precision, kv=kv)
            found[precision, kv] = session.step(session.open(), ids).copy()
    assert len({a.tobytes() for a in found.values()}) > 1
    for wrong in (dict(kv="f8"), dict(precision="x"), dict(kv="")):
        with pytest.raises(libmoe.ArgumentError):
            model.session(**wrong)


def test_states_of_hybrids(tmp_path):
    data = pathlib.Path(__file__).resolve().parents[2] / "tests/data"
    for file in ("config.json", "model.safetensors"):
        shutil.copy(data / "shapes/qwen3_5_text" / file, tmp_path)
    shutil.copy(data / "golden/qwen3_moe/tokenizer.json", tmp_path)
    hybrid = libmoe.Model(tmp_path, checkpoint_tokens=16)
    ids = [(7919 * i + 13) % 300 for i in range(60)]
    fresh = hybrid.session()
    expected = fresh.step(fresh.open(), ids).tobytes()
    # After a rewind to 50, what follows the last state is computed again, or all of it where none is kept.
    for options, again in (dict(checkpoint_tokens=16), 2), (dict(checkpoint_tokens=256), 50), (dict(state_bytes=1), 50):
        session = hybrid.session(**options)
        sequence = session.open()
        session.step(sequence, ids)
        session.rewind(sequence, 50)
        assert session.step(sequence, ids[50:]).tobytes() == expected
        assert session.executed.tokens == 60 + again + 10
    for wrong in (dict(checkpoint_tokens=0), dict(state_bytes=-1)):
        with pytest.raises(libmoe.ArgumentError, match=f"{next(iter(wrong))} is"):
            hybrid.session(**wrong)


def test_errors_leave_the_sequence(model, ids):
    session = model.session(cache_tokens=128)
    sequence = session.open()
    expected = session.step(sequence, ids).copy()
    length = session.length(sequence)
    for wrong, kind in (
        (lambda: session.step(sequence, [999999]), ValueError),
        (lambda: session.step(sequence, [5] * 500), MemoryError),
        (lambda: session.step(77, [5]), ValueError),
        (lambda: session.step(-1, [5]), ValueError),
        (lambda: session.step(sequence, [5], logits="some"), ValueError),
        (lambda: session.step(sequence, "text"), TypeError),
        (lambda: session.step(sequence, [2.5]), TypeError),
        (lambda: session.step(sequence, None), TypeError),
        (lambda: session.step_batch([(sequence, [5]), (sequence, [5])]), ValueError),
        (lambda: session.step_batch([sequence]), TypeError),
        (lambda: session.step_batch([(sequence, [5], 1)]), TypeError),
        (lambda: session.rewind(sequence, 10**6), ValueError),
        (lambda: session.fork(50), ValueError),
    ):
        with pytest.raises(kind):
            wrong()
        assert session.length(sequence) == length
    session.rewind(sequence, 0)
    np.testing.assert_array_equal(session.step(sequence, ids), expected)
    assert session.free_tokens < 128


def test_two_threads_never_compute_in_one_session(model, ids):
    session = model.session(cache_tokens=1024)
    rows, wrong = [], []

    def steps(sequence):
        for _ in range(100):
            try:
                session.rewind(sequence, 0)
                rows.append(session.step(sequence, ids).copy())
            except libmoe.ArgumentError as error:
                if "another thread" not in str(error):
                    wrong.append(error)

    threads = [threading.Thread(target=steps, args=(session.open(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and rows
    for row in rows:
        np.testing.assert_array_equal(row, rows[0])
