import math

import numpy as np
import pytest

import libmoe

CONTEXT = "Question: What is the capital of Marlund?\nAnswer:"
LABELS = [" Brexton", " Orla", " the river"]


def test_shapes(model):
    one = model.score(CONTEXT, LABELS[0])
    several = model.score(CONTEXT, LABELS)
    many = model.score([CONTEXT, "The"], [LABELS, [" end"]])
    assert isinstance(one, libmoe.Score) and one.tokens > 0 and one.log_likelihood < 0
    assert [s.log_likelihood for s in several] == [s.log_likelihood for s in many[0]]
    assert one.log_likelihood == several[0].log_likelihood and len(many[1]) == 1
    assert one.perplexity == pytest.approx(math.exp(-one.log_likelihood / one.tokens))
    assert "Score(" in repr(one) and one.error is None


def test_choose(model):
    choice = model.choose(CONTEXT, LABELS)
    scores = [s.log_likelihood for s in model.score(CONTEXT, LABELS)]
    assert choice.best == scores.index(max(scores)) and sum(choice.probabilities) == pytest.approx(1)
    assert [s.log_likelihood for s in choice.scores] == scores and "Choice(" in repr(choice)
    per_token = model.choose(CONTEXT, LABELS, by="per_token")
    means = [s.log_likelihood / s.tokens for s in choice.scores]
    assert per_token.best == means.index(max(means))
    with pytest.raises(libmoe.ArgumentError):
        model.choose(CONTEXT, [])
    with pytest.raises(libmoe.ArgumentError, match="per_token"):
        model.choose(CONTEXT, LABELS, by="letters")


def test_greedy_is_greedy(model):
    reply = model.generate(CONTEXT, max_tokens=3, ignore_eos=True)
    ids = model.tokenizer.encode(CONTEXT + reply.text)
    if ids == model.tokenizer.encode(CONTEXT) + reply.tokens:
        assert model.score(CONTEXT, reply.text).is_greedy


def test_errors(model):
    with pytest.raises(libmoe.ArgumentError):
        model.score(CONTEXT, "")
    with pytest.raises(libmoe.ArgumentError):
        model.score(CONTEXT, " far" * 3000)
    good, bad = model.score([CONTEXT, CONTEXT], [[" a"], [""]])
    assert good[0].error is None and isinstance(bad[0].error, libmoe.ArgumentError)
    with pytest.raises(ValueError):
        model.score(["a", "b"], [["c"]])
    for wrong in ((["a"], "b"), (CONTEXT, 5), (CONTEXT, [5]), (["a"], ["b"]), (5, "b")):
        with pytest.raises(TypeError):
            model.score(*wrong)


def test_whole_texts_need_a_beginning(model):
    # The nano tokenizer names neither BOS nor EOS as such.
    with pytest.raises(libmoe.Error, match="BOS") as caught:
        model.perplexity("Some text")
    assert caught.value.code == "unsupported"


def test_whole_texts(model, tmp_path):
    """The same model with a BOS: a text scores as its tokens do behind that one."""
    import json
    import math

    from conftest import NANO

    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(NANO / name)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|bos|>", "eos_token": "<|eos|>"}))
    own = libmoe.Model(tmp_path, threads=1)
    text = "The river is far from Brexton."
    ids = [own.tokenizer.bos_token_id, *own.tokenizer.encode(text, add_special_tokens=False)]
    session = own.session()
    logits = session.step(session.open(), ids[:-1], logits="all", padded=True).astype("float64")
    top = logits.max(axis=1, keepdims=True)
    rows = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    expected = sum(rows[i, id] for i, id in enumerate(ids[1:]))
    score = own.score_text(text)
    assert score.tokens == len(ids) - 1 and score.log_likelihood == pytest.approx(expected, rel=1e-6)
    assert own.perplexity(text) == score.perplexity == pytest.approx(math.exp(-expected / score.tokens), rel=1e-6)
    assert [s.log_likelihood for s in own.score_text([text, text])] == [score.log_likelihood] * 2
    with pytest.raises(libmoe.ArgumentError):
        own.perplexity("")
