import pickle

import numpy as np
import pytest

import libmoe
from conftest import EXAM, NANO


def test_facts(model):
    info = model.info
    assert info.family == "deepseek_v3" and info.expert_count == 64 and info.top_k == 4
    assert info.context == info.config["max_position"] == 1024
    assert info.total_parameters == 1693568 > info.active_parameters > 0
    assert info.metadata["num_hidden_layers"] == 3
    assert model.threads == 2 and model.resident_bytes > 0
    assert model.content_hash == ""
    for part in ("Model(", "deepseek_v3", "top_k=4"):
        assert part in repr(model)
    assert "deepseek_v3" in repr(info)


def test_content_hash_and_progress():
    seen = []
    model = libmoe.Model(NANO, threads=1, content_hash=True, progress=lambda done, total: seen.append((done, total)))
    assert len(model.content_hash) == 64
    assert seen and all(0 <= done <= total for done, total in seen)


def test_progress_works_with_tqdm():
    tqdm = pytest.importorskip("tqdm").tqdm

    with tqdm(disable=True) as bar:

        def report(done, total):
            bar.total = total
            bar.update(done - bar.n)

        libmoe.Model(NANO, threads=1, progress=report)


def test_an_exception_of_the_callback_comes_through(slow_path):
    def report(done, total):
        raise RuntimeError("from the callback")

    with pytest.raises(RuntimeError, match="from the callback"):
        libmoe.Model(slow_path, threads=1, progress=report)


def test_inspect_needs_no_weights(tmp_path):
    (tmp_path / "config.json").write_text((NANO / "config.json").read_text())
    info = libmoe.inspect(tmp_path)
    assert info.family == "deepseek_v3" and info.weight_bytes == 0


def test_with_experts(model):
    two = model.with_experts(2)
    assert two.info.top_k == 2 and model.info.top_k == 4
    assert two.flops(10).routed_experts * 2 == model.flops(10).routed_experts
    assert libmoe.Model(NANO, threads=1, top_k=[2, 2]).generate([5, 6, 7], max_tokens=4).tokens == two.generate(
        [5, 6, 7], max_tokens=4
    ).tokens
    with pytest.raises(libmoe.ArgumentError, match="1000"):
        model.with_experts(1000)


def test_flops_are_those_of_the_session(model):
    session = model.session()
    sequence = session.open()
    session.step(sequence, range(10, 30))
    assert session.executed == model.flops(20)
    session.step(sequence, range(30, 40), logits="all")
    assert session.executed.total == model.flops(20).total + model.flops(10, cached_tokens=20, logit_rows=10).total
    assert model.flops(5, mla="expanded").total != model.flops(5).total


@pytest.mark.parametrize("bad", [dict(new_tokens=-1), dict(new_tokens=2000), dict(new_tokens=1, logit_rows=2),
                                 dict(new_tokens=1, cached_tokens=-1), dict(new_tokens=2**62, cached_tokens=2**62)])
def test_flops_beyond_the_context(model, bad):
    with pytest.raises(libmoe.ArgumentError, match="expected"):
        model.flops(**bad)


@pytest.mark.parametrize(
    "make, kind, code",
    [
        (lambda: libmoe.Model("/nowhere"), FileNotFoundError, "not_found"),
        (lambda: libmoe.Model(EXAM), ValueError, None),
        (lambda: libmoe.Model(NANO, kv="f64"), ValueError, "bad_argument"),
        (lambda: libmoe.Model(NANO, precision="high"), ValueError, "bad_argument"),
        (lambda: libmoe.Model(NANO, threads=-1), ValueError, "bad_argument"),
        (lambda: libmoe.Model(NANO, cache_tokens=-1), ValueError, "bad_argument"),
        (lambda: libmoe.Model(NANO, expert_mass=2.0), ValueError, "bad_config"),
        (lambda: libmoe.inspect("/nowhere"), FileNotFoundError, "not_found"),
    ],
)
def test_errors(make, kind, code):
    with pytest.raises(libmoe.Error) as caught:
        make()
    assert isinstance(caught.value, kind)
    assert code is None or caught.value.code == code
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value) and again.code == caught.value.code and str(again) == str(caught.value)


def test_out_of_memory_is_one(model):
    session = model.session(cache_tokens=64)
    sequence = session.open()
    with pytest.raises(MemoryError) as caught:
        session.step(sequence, [5] * 100)
    assert isinstance(caught.value, libmoe.OutOfMemoryError) and caught.value.code == "out_of_memory"
    assert session.length(sequence) == 0


def test_tokenizer(model):
    t = model.tokenizer
    ids = t.encode("Question: What is it?")
    assert t.decode(ids) == "Question: What is it?" == t.decode(np.array(ids)) == t.decode_bytes(ids).decode()
    assert b"".join(t.token_bytes(i) for i in ids) == b"Question: What is it?"
    assert len(t) == t.vocab_size == 1792 and t.stop_ids == [1]
    assert t.is_control(t.stop_ids[0]) and not t.is_control(ids[0])
    assert t.find(t.token_bytes(1).decode()) == 1 and t.find("no such token") is None
    assert "1792" in repr(t)
    half = t.encode("é")[:1]
    assert t.decode(half) in ("\ufffd", "é")
    for bad in (-1, 1792):
        with pytest.raises(libmoe.ArgumentError):
            t.token_bytes(bad)
        with pytest.raises(libmoe.ArgumentError):
            t.decode([bad])
    for call in (t.encode, model.generate):
        with pytest.raises(UnicodeEncodeError):
            call("\ud800")


def test_model_without_tokenizer(slow_model):
    with pytest.raises(libmoe.Error, match="tokenizer") as caught:
        slow_model.tokenizer
    assert caught.value.code == "unsupported"
    with pytest.raises(libmoe.Error, match="tokenizer"):
        slow_model.generate("text")
    with pytest.raises(libmoe.Error, match="tokenizer"):
        slow_model.score("a", "b")
    assert slow_model.generate([1, 2, 3], max_tokens=2).tokens == [0, 0]


def test_version():
    from importlib.metadata import PackageNotFoundError, version

    assert libmoe.__version__.count(".") == 2 and libmoe.numerics_version >= 2 and libmoe.active_isa()
    try:
        assert version("libmoe") == libmoe.__version__
    except PackageNotFoundError:
        pytest.skip("libmoe is not installed here")
