"""A wrong argument is refused in a sentence that names it, says what was found and what was expected."""

import numpy as np
import pytest

import libmoe
from conftest import CHATML, EXAM, NANO, PROMPT

MESSAGES = [{"role": "user", "content": "Hello"}]

# What is called with the model and a session; the exception; what its text names.
WRONG = [
    # of a model
    (lambda m, s: libmoe.Model(5), TypeError, "path is 5, expected a path"),
    (lambda m, s: libmoe.Model(b"model"), TypeError, "path is b'model', expected a path"),
    (lambda m, s: libmoe.Model(""), libmoe.ArgumentError, "path is '', expected a path that is not empty"),
    (lambda m, s: libmoe.Model("a\0b"), libmoe.ArgumentError, "path"),
    (lambda m, s: libmoe.Model(NANO, "2"), TypeError, "threads is '2', expected an integer"),
    (lambda m, s: libmoe.Model(NANO, 2.0), TypeError, "threads is 2.0"),
    (lambda m, s: libmoe.Model(NANO, True), TypeError, "threads is True"),
    (lambda m, s: libmoe.Model(NANO, -1), libmoe.ArgumentError, "threads is -1, expected an integer of at least 0"),
    (lambda m, s: libmoe.Model(NANO, 2**80), libmoe.ArgumentError, "threads is 12089"),
    (lambda m, s: libmoe.Model(NANO, kv=16), TypeError, "kv is 16, expected one of 'f32', 'f16', 'bf16', 'q8_0'"),
    (lambda m, s: libmoe.Model(NANO, precision=None), TypeError, "precision is None"),
    (lambda m, s: libmoe.Model(NANO, cache_tokens=-5), libmoe.ArgumentError, "cache_tokens is -5"),
    (lambda m, s: libmoe.Model(NANO, cache_tokens="many"), TypeError, "cache_tokens is 'many'"),
    (lambda m, s: libmoe.Model(NANO, top_k="2"), TypeError, "top_k is '2', expected an integer"),
    (lambda m, s: libmoe.Model(NANO, top_k=[2, "2"]), TypeError, "top_k[1] is '2'"),
    (lambda m, s: libmoe.Model(NANO, expert_mass="all"), TypeError, "expert_mass is 'all', expected a number"),
    (lambda m, s: libmoe.Model(NANO, content_hash=1), TypeError, "content_hash is 1, expected True or False"),
    (lambda m, s: libmoe.Model(NANO, progress=5), TypeError, "progress is 5, expected a function"),
    (lambda m, s: libmoe.Model(NANO, colour=1), TypeError, "colour"),
    (lambda m, s: m.with_experts(2.5), TypeError, "top_k is 2.5"),
    (lambda m, s: m.flops("5"), TypeError, "new_tokens is '5'"),
    (lambda m, s: m.flops(5, mla="both"), libmoe.ArgumentError, "mla is 'both', expected one of"),
    (lambda m, s: m.session(record_routing="yes"), TypeError, "record_routing is 'yes'"),
    (lambda m, s: libmoe.inspect(None), TypeError, "path is None"),
    (lambda m, s: libmoe.inspect(""), libmoe.ArgumentError, "path is ''"),
    # of replies
    (lambda m, s: m.generate(5), TypeError, "prompt is 5, expected a text, token ids or a list"),
    (lambda m, s: m.generate([1.5], max_tokens=1), TypeError, "1.5"),
    (lambda m, s: m.generate([1, "a"], max_tokens=1), TypeError, "token 1 is 'a', expected an integer"),
    (lambda m, s: m.generate([1, 2**70], max_tokens=1), libmoe.ArgumentError, "token 1 is 1180591620717411303424"),
    (lambda m, s: m.generate(np.zeros(3), max_tokens=1), TypeError, "int32"),
    (lambda m, s: m.generate(PROMPT, n=0), libmoe.ArgumentError, "n is 0, expected an integer of at least 1"),
    (lambda m, s: m.generate(PROMPT, n="2"), TypeError, "n is '2'"),
    (lambda m, s: m.generate(PROMPT, n=2, stream=True), TypeError, "n and stream=True"),
    (lambda m, s: m.generate(PROMPT, n=10**15), libmoe.Error, "1000000000000000"),
    (lambda m, s: m.generate(PROMPT, stream="yes"), TypeError, "stream is 'yes'"),
    (lambda m, s: m.generate(PROMPT, max_tokens=True), TypeError, "max_tokens"),
    (lambda m, s: m.chat("Hello"), TypeError, "messages is 'Hello', expected a list of dicts"),
    (lambda m, s: m.chat(5), TypeError, "messages is 5"),
    (lambda m, s: m.chat(["Hello"]), TypeError, "messages[0] is 'Hello', expected a dict"),
    (lambda m, s: m.chat(MESSAGES, chat_template=5), TypeError, "chat_template is 5"),
    (lambda m, s: m.chat(MESSAGES, chat_template=CHATML, date=5), TypeError, "date is 5"),
    (lambda m, s: m.chat(MESSAGES, chat_template=CHATML, tools="x"), TypeError, "tools is 'x'"),
    (lambda m, s: m.chat(MESSAGES, chat_template=CHATML, template_variables=[1]), TypeError, "template_variables is [1]"),
    (lambda m, s: m.chat(MESSAGES, chat_template=CHATML, heat=1), TypeError, "heat"),
    # of scores
    (lambda m, s: m.score(5, "a"), TypeError, "context is 5"),
    (lambda m, s: m.score("a", 5), TypeError, "continuation is 5"),
    (lambda m, s: m.score("a", ["b", 5]), TypeError, "continuation[1] is 5, expected a text"),
    (lambda m, s: m.score(["a"], "b"), TypeError, "continuation is 'b'"),
    (lambda m, s: m.score(["a"], ["b"]), TypeError, "continuation[0] is 'b'"),
    (lambda m, s: m.score(["a", "b"], [["c"]]), libmoe.ArgumentError, "continuation has 1 lists, expected 2"),
    (lambda m, s: m.choose("a", "b"), TypeError, "labels is 'b', expected a list of texts"),
    (lambda m, s: m.choose("a", ["b"], by=1), TypeError, "by is 1"),
    (lambda m, s: m.score_text(5), TypeError, "text is 5"),
    (lambda m, s: m.perplexity(["a"]), TypeError, "text is ['a']"),
    # of a tokenizer
    (lambda m, s: m.tokenizer.encode(5), TypeError, "text is 5"),
    (lambda m, s: m.tokenizer.encode("a", parse_special=0), TypeError, "parse_special is 0"),
    (lambda m, s: m.tokenizer.encode("\ud800"), UnicodeEncodeError, "text has half of a surrogate pair"),
    (lambda m, s: m.tokenizer.decode(5), TypeError, "found 5"),
    (lambda m, s: m.tokenizer.decode(None), TypeError, "found None"),
    (lambda m, s: m.tokenizer.token_bytes("5"), TypeError, "id is '5'"),
    (lambda m, s: m.tokenizer.is_control(-1), libmoe.ArgumentError, "id is -1"),
    (lambda m, s: m.tokenizer.find(5), TypeError, "token is 5"),
    # of a session
    (lambda m, s: s.step("0", [1]), TypeError, "sequence is '0', expected an integer"),
    (lambda m, s: s.step(-1, [1]), libmoe.ArgumentError, "sequence is -1"),
    (lambda m, s: s.step(2**31, [1]), libmoe.ArgumentError, "sequence is 2147483648, expected an integer"),
    (lambda m, s: s.fork(2**31), libmoe.ArgumentError, "parent is 2147483648, expected an integer"),
    (lambda m, s: s.rewind(2**31, 0), libmoe.ArgumentError, "sequence is 2147483648, "),
    (lambda m, s: s.length(2**31), libmoe.ArgumentError, "sequence is 2147483648, expected"),
    (lambda m, s: s.close(2**40), libmoe.ArgumentError, "sequence is 1099511627776"),
    (lambda m, s: s.step_batch([(2**31, [1])]), libmoe.ArgumentError, "items[0]: sequence is 2147483648"),
    (lambda m, s: s.step(0, "text"), TypeError, "found 'text'"),
    (lambda m, s: s.step(0, None), TypeError, "found None"),
    (lambda m, s: s.step(0, [1], logits=1), TypeError, "logits is 1"),
    (lambda m, s: s.step(0, [1], rows="all"), TypeError, "rows"),
    (lambda m, s: s.step_batch(5), TypeError, "items is 5"),
    (lambda m, s: s.step_batch([5]), TypeError, "items[0] is 5, expected a pair"),
    (lambda m, s: s.step_batch([("0", [1])]), TypeError, "items[0]: sequence is '0'"),
    (lambda m, s: s.rewind(0), TypeError, "length"),
    (lambda m, s: s.rewind(0, -1), libmoe.ArgumentError, "length is -1"),
    (lambda m, s: s.fork(None), TypeError, "parent is None"),
    # of the router
    (lambda m, s: libmoe.RouterConfig(), TypeError, "expert_count is missing"),
    (lambda m, s: libmoe.RouterConfig(4, "2"), TypeError, "top_k: expected an integer, found '2'"),
    (lambda m, s: libmoe.RouterConfig(4, 2, 1), TypeError, "found 3 positional"),
    (lambda m, s: libmoe.RouterConfig(4, 2, top_k=2), TypeError, "top_k is given twice"),
    (lambda m, s: libmoe.RouterConfig(4, 2, score=1), TypeError, "score: expected a text, found 1"),
    (lambda m, s: libmoe.RouterConfig(4, 2, colour=1), TypeError, "unexpected keyword argument 'colour'"),
    (lambda m, s: libmoe.route(np.zeros((1, 4), np.float32), 5), TypeError, "config is 5, expected a RouterConfig"),
    (lambda m, s: libmoe.route("text", libmoe.RouterConfig(4, 2)), TypeError, "logits is 'text'"),
    # of an evaluation and of quantising
    (lambda m, s: libmoe.evaluate(5, str(EXAM)), TypeError, "models is 5"),
    (lambda m, s: libmoe.evaluate({}, str(EXAM)), libmoe.ArgumentError, "models is empty"),
    (lambda m, s: libmoe.evaluate({1: m}, str(EXAM)), TypeError, "a name in models is 1"),
    (lambda m, s: libmoe.evaluate({"a": 5}, str(EXAM)), TypeError, "models['a'] is 5"),
    (lambda m, s: libmoe.evaluate(m, 5), TypeError, "tasks is 5"),
    (lambda m, s: libmoe.evaluate(m, []), libmoe.ArgumentError, "tasks is empty"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), limit=0), libmoe.ArgumentError, "limit is 0, expected a number above 0"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), limit="5"), TypeError, "limit is '5'"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), limit=float("nan")), libmoe.ArgumentError, "limit is nan"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), seed=-1), libmoe.ArgumentError, "seed is -1"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), max_length=1), libmoe.ArgumentError, "max_length is 1"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), num_fewshot=-1), libmoe.ArgumentError, "num_fewshot is -1"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), baseline="x"), libmoe.ArgumentError, "baseline is 'x'"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), data=""), libmoe.ArgumentError, "data is ''"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), cache=5), TypeError, "cache is 5"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), limit=1, cache="c.db"), libmoe.ArgumentError, "content_hash"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), apply_chat_template=1), TypeError, "apply_chat_template is 1"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), enable_thinking=True), libmoe.ArgumentError, "enable_thinking is True"),
    (lambda m, s: libmoe.evaluate(m, str(EXAM), colour=1), TypeError, "colour"),
    (lambda m, s: libmoe.quantize(NANO, ""), libmoe.ArgumentError, "target is ''"),
    (lambda m, s: libmoe.quantize(NANO, "x.gguf", 8), TypeError, "type is 8"),
    (lambda m, s: libmoe.quantize(NANO, "x.gguf", head="bad"), libmoe.ArgumentError, "head is 'bad'"),
    (lambda m, s: libmoe.quantize(NANO, "x.gguf", threads=-2), libmoe.ArgumentError, "threads is -2"),
    (lambda m, s: libmoe.quantize(NANO, "x.gguf", replace=1), TypeError, "replace is 1"),
]


@pytest.mark.parametrize("call, kind, says", WRONG, ids=[says for _, _, says in WRONG])
def test_wrong_arguments(model, tmp_path, monkeypatch, call, kind, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        call(model, model.session())
    message = str(caught.value)
    assert says in message
    assert "argument types" not in message and "\n" not in message and "_libmoe" not in message
    if isinstance(caught.value, libmoe.Error):
        assert caught.value.code != "internal"
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_numbers(model):
    one = model.generate(PROMPT, max_tokens=np.int64(3), temperature=np.float32(0))
    assert len(one.tokens) == 3 and model.flops(np.int32(3)) == model.flops(3)
    assert model.with_experts(np.int64(2)).generate([5], max_tokens=np.int32(1)).tokens
    assert libmoe.evaluate(model, str(EXAM), limit=np.int64(2)).rows[0].questions == 2


def test_no_limit_of_tokens_is_the_context(model):
    long = model.generate([5] * 900, max_tokens=0, ignore_eos=True)
    assert long.end == "max_tokens" and len(long.tokens) == model.info.config["max_position"] - 900 + 1
