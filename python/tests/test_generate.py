import threading
import time

import numpy as np
import pytest

import libmoe
from conftest import CHATML, PROMPT


def test_one_prompt(model):
    reply = model.generate(PROMPT, max_tokens=12)
    assert isinstance(reply, libmoe.Generation)
    assert str(reply) == reply.text == model.tokenizer.decode(reply.tokens, skip_special_tokens=True)
    assert reply.end in ("max_tokens", "end_token") and reply.prompt_tokens == len(model.tokenizer.encode(PROMPT))
    assert reply.error is None and reply.logprobs is None and reply.flops > 0
    assert "Generation(" in repr(reply) and reply.end in repr(reply)


def test_ids_and_arrays_are_prompts(model):
    ids = model.tokenizer.encode(PROMPT)
    expected = model.generate(PROMPT, max_tokens=8).tokens
    for given in (ids, tuple(ids), np.array(ids), np.array(ids, np.int32), np.array(ids + ids)[: len(ids)],
                  np.repeat(ids, 2)[::2]):
        assert model.generate(given, max_tokens=8).tokens == expected


def test_lists_give_lists(model):
    prompts = [PROMPT, "Question: Who", model.tokenizer.encode("The")]
    together = model.generate(prompts, max_tokens=8)
    assert [r.tokens for r in together] == [model.generate(p, max_tokens=8).tokens for p in prompts]
    assert model.generate([], max_tokens=8) == []


def test_one_of_a_list_fails_alone(model):
    good, bad = model.generate([PROMPT, [5, 999999]], max_tokens=4)
    assert good.error is None and good.tokens
    assert isinstance(bad.error, libmoe.ArgumentError) and "999999" in str(bad.error)


def test_sampling_repeats(model):
    one = model.generate(PROMPT, max_tokens=16, temperature=1.0, seed=7, top_k=50, top_p=0.95, min_p=0.01)
    two = model.generate(PROMPT, max_tokens=16, temperature=1.0, seed=7, top_k=50, top_p=0.95, min_p=0.01)
    other = [model.generate(PROMPT, max_tokens=16, temperature=1.0, seed=s).tokens for s in range(8)]
    assert one.tokens == two.tokens and one.seed == 7
    assert len({tuple(t) for t in other}) > 1


def test_several_replies(model):
    options = dict(max_tokens=12, temperature=1.0, seed=7)
    three = model.generate(PROMPT, n=3, **options)
    assert three[0].tokens == model.generate(PROMPT, **options).tokens and three[0].seed == 7
    assert len({tuple(r.tokens) for r in three}) == 3 and len({r.seed for r in three}) == 3
    for reply in three[1:]:  # its seed alone makes the same reply
        assert model.generate(PROMPT, **dict(options, seed=reply.seed)).tokens == reply.tokens
    # The prompt was computed once.
    apart = sum(model.flops(len(model.tokenizer.encode(PROMPT))).total for _ in three)
    model.forget()
    assert sum(r.flops for r in model.generate(PROMPT, n=3, max_tokens=1)) < apart
    lists = model.generate([PROMPT, "The"], n=2, **options)
    assert [len(replies) for replies in lists] == [2, 2] and lists[0][1].tokens == three[1].tokens
    assert model.generate(PROMPT, n=1, **options)[0].tokens == three[0].tokens
    messages = [{"role": "user", "content": "Who?"}]
    both = model.chat(messages, n=2, chat_template=CHATML, **options)
    assert both[0].tokens == model.chat(messages, chat_template=CHATML, **options).tokens
    good, bad = model.generate([PROMPT, [999999]], n=2, max_tokens=2)
    assert all(r.error is None for r in good) and all("999999" in str(r.error) for r in bad)
    with pytest.raises(libmoe.ArgumentError, match="999999"):
        model.generate([999999], n=2)


def test_stop_texts_biases_and_logprobs(model):
    plain = model.generate(PROMPT, max_tokens=12, ignore_eos=True)
    word = plain.text.strip()[:3]
    stopped = model.generate(PROMPT, max_tokens=12, stop=word, ignore_eos=True)
    assert stopped.end == "stop_text" and stopped.stop == word and word not in stopped.text
    assert model.generate(PROMPT, max_tokens=12, stop=["never there", word], ignore_eos=True).text == stopped.text
    first = plain.tokens[0]
    assert model.generate(PROMPT, max_tokens=1, logit_bias={first: -1e9}).tokens[0] != first
    assert model.generate(PROMPT, max_tokens=3, stop_tokens=[first]).end == "end_token"
    listed = model.generate(PROMPT, max_tokens=3, logprobs=2, ignore_eos=True)
    assert [len(best) for _, _, best in listed.logprobs] == [2, 2, 2]
    assert listed.logprobs[0][2][0] == listed.logprobs[0][:2] and listed.logprobs[0][0] == first


@pytest.mark.parametrize(
    "options, kind, part",
    [
        (dict(top_p=3.0), ValueError, "top_p"),
        (dict(temperature=-1.0), ValueError, "temperature"),
        (dict(temperature="hot"), TypeError, "temperature"),
        (dict(max_tokens=1.5), TypeError, "max_tokens"),
        (dict(max_tokens=-1), ValueError, "max_tokens"),
        (dict(seed=-1), TypeError, "seed"),
        (dict(stop=[1]), TypeError, "stop"),
        (dict(logit_bias=[1]), TypeError, "logit_bias"),
        (dict(heat=1), TypeError, "heat"),
    ],
)
def test_wrong_options(model, options, kind, part):
    for given in (dict(options), dict(options, stream=True)):
        with pytest.raises(kind, match=part):
            out = model.generate(PROMPT, **given)
            list(out)


@pytest.mark.parametrize("prompt", [None, 5, 2.5, b"bytes", [1.5], [[1.5]], np.zeros((2, 2), np.int32), np.zeros(3)])
def test_what_is_no_prompt(model, prompt):
    with pytest.raises(TypeError):
        model.generate(prompt, max_tokens=1)


def test_prompts_beyond_limits(model):
    for bad in ("", [-1], [2**40], [1792], [5] * 2000):
        with pytest.raises(libmoe.ArgumentError):
            model.generate(bad, max_tokens=1) if bad else model.generate("", max_tokens=1)


def test_streams_give_the_same(model):
    whole = model.generate(PROMPT, max_tokens=16)
    stream = model.generate(PROMPT, max_tokens=16, stream=True)
    assert stream.result is None or stream.result.text == whole.text
    pieces = list(stream)
    assert "".join(str(p) for p in pieces) == whole.text
    assert [t for p in pieces for t in p.tokens] == whole.tokens == stream.result.tokens
    assert next(stream, None) is None and "ended" in repr(stream)
    assert "Piece(" in repr(pieces[0])


def test_streams_can_be_left(model):
    stream = model.generate(PROMPT, max_tokens=900, stream=True, ignore_eos=True)
    next(stream)
    stream.close()
    assert stream.result.end == "cancelled" and len(stream.result.tokens) < 900
    stream.close()
    with model.generate(PROMPT, max_tokens=900, stream=True, ignore_eos=True) as stream:
        next(stream)
    assert stream.result.end == "cancelled"
    for _ in range(20):
        next(model.generate(PROMPT, max_tokens=900, stream=True, ignore_eos=True))  # dropped while it runs


def test_streams_can_be_closed_by_another_thread(model):
    for _ in range(20):
        stream = model.generate(PROMPT, max_tokens=900, stream=True, ignore_eos=True)
        failed = []

        def read(stream=stream, failed=failed):
            try:
                list(stream)
            except BaseException as error:
                failed.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.005)
        stream.close()
        reader.join()
        assert not failed and stream.result.end == "cancelled"


def test_a_stream_raises_what_the_reply_would(model):
    with pytest.raises(libmoe.ArgumentError, match="999999"):
        list(model.generate([999999], stream=True))
    with pytest.raises(TypeError):
        model.generate([PROMPT, PROMPT], stream=True)


def test_the_cache_is_reused_and_forgotten(model):
    ids = model.tokenizer.encode(PROMPT)
    model.forget()
    assert model.generate(ids, max_tokens=4).reused_tokens == 0
    again = model.generate(ids, max_tokens=4)
    assert again.reused_tokens > 0
    model.forget()
    assert model.generate(ids, max_tokens=4).reused_tokens == 0


def test_chat(model):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    text = model.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, chat_template=CHATML
    )
    assert text.endswith("<|im_start|>assistant\n") and "Be brief." in text
    ids = model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, chat_template=CHATML)
    reply = model.chat(messages, chat_template=CHATML, max_tokens=8)
    assert reply.tokens == model.generate(ids, max_tokens=8).tokens
    stream = model.chat(messages, chat_template=CHATML, max_tokens=8, stream=True)
    assert "".join(str(p) for p in stream) == reply.text
    unlimited = [model.chat(messages, chat_template=CHATML, **more).tokens for more in ({}, {"max_tokens": None})]
    assert unlimited[0] == unlimited[1]
    going_on = model.tokenizer.apply_chat_template(
        messages + [{"role": "assistant", "content": "Well"}], tokenize=False, continue_final_message=True,
        chat_template=CHATML,
    )
    assert going_on.endswith("Well")


def test_chat_templates_see_variables(model):
    template = "{{ messages[0]['content'] }}|{{ mood }}|{{ tools|length if tools else 0 }}"
    show = model.tokenizer.apply_chat_template
    messages = [{"role": "user", "content": "x"}]
    assert show(messages, tokenize=False, chat_template=template, mood="good", tools=[{"a": 1}]) == "x|good|1"


@pytest.mark.parametrize(
    "messages, template, kind",
    [
        ([{"role": "user", "content": "x"}], None, libmoe.Error),
        ([{"content": "no role"}], CHATML, libmoe.ArgumentError),
        ([{"role": "user", "content": "x"}], "{{ raise_exception('no') }}", libmoe.ArgumentError),
        ([{"role": "user", "content": "x"}], "{% for %}", ValueError),
        ([{"role": "user", "content": object()}], CHATML, TypeError),
    ],
)
def test_conversations_that_cannot_be(model, messages, template, kind):
    with pytest.raises(kind):
        model.chat(messages, chat_template=template, max_tokens=1)
    with pytest.raises(ValueError, match="at most one"):
        model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, continue_final_message=True)
