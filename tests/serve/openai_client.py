#!/usr/bin/env python3
"""openai_client.py MOE_SERVE ROOT: what the package openai (2.14 and 3.57) asks and how it takes the answers. By hand."""

import asyncio
import os
import re
import sys
import tempfile
import time

import openai
from openai import AsyncOpenAI, OpenAI

from serving import Server, check, finish, wait_until

PROMPT = "Question: In which month was Verta Palthus born?\nAnswer:"
TALK = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "In which month?"}]
DRAWN = {"model": "nano", "temperature": 1.0, "seed": 11, "max_tokens": 12}
LONG = {"model": "nano", "prompt": PROMPT, "max_tokens": 900, "extra_body": {"ignore_eos": True}}


def client_of(server, kind=OpenAI, key="-", **more):
    return kind(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=key, **{"max_retries": 0, **more})


def metric(server, name):
    return int(float(re.search(rf"^moe_{name}\{{[^}}]*\}} (\S+)", server.call("/metrics")[2], re.M).group(1)))


def typed(answer):
    """The package checks little when it reads; strictly read again, the answer must be what its types say."""
    type(answer).model_validate(answer.model_dump())
    return answer


def completions(client):
    check([m.id for m in typed(client.models.list()).data] == ["nano"], "models.list")
    check(client.models.retrieve("nano").id == "nano", "models.retrieve")
    typed(client.completions.create(prompt=PROMPT, logprobs=2, **DRAWN))
    # Not typed: the null of the first token, which OpenAI sends as well, is no float.
    whole = client.completions.create(prompt=PROMPT, logprobs=2, echo=True, **DRAWN)
    choice = whole.choices[0]
    check(choice.text.startswith(PROMPT) and choice.finish_reason in ("stop", "length"), "completions.create")
    count = whole.usage.prompt_tokens + whole.usage.completion_tokens
    check(len(choice.logprobs.token_logprobs) == len(choice.logprobs.top_logprobs) == count, "an entry per token")
    events = list(client.completions.create(prompt=PROMPT, logprobs=2, echo=True, stream=True,
                                            stream_options={"include_usage": True}, **DRAWN))
    check(events[-1].usage.total_tokens == whole.usage.total_tokens, "usage of a stream")
    check("".join(e.choices[0].text for e in events if e.choices) == choice.text, "a stream is the text in pieces")
    joined = [v for e in events if e.choices and e.choices[0].logprobs for v in e.choices[0].logprobs.token_logprobs]
    check(joined == choice.logprobs.token_logprobs, "and its log-probabilities")
    many = typed(client.completions.create(prompt=["In", "Who"], n=2, stop=["\n", "."], logit_bias={"75": -100}, user="u", **DRAWN))
    check([c.index for c in many.choices] == [0, 1, 2, 3], "prompts and n")
    scored = client.completions.create(model="nano", prompt=[[72, 73, 74]], max_tokens=0, echo=True, logprobs=1)
    check(len(scored.choices[0].logprobs.tokens) == 3, "a list of ids, only scored")


def chats(client):
    whole = typed(client.chat.completions.create(messages=TALK, logprobs=True, top_logprobs=2, n=2, **DRAWN))
    check(whole.choices[0].message.role == "assistant" and len(whole.choices) == 2, "chat.completions.create")
    check(len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens // 2, "log-probabilities of a chat")
    events = list(client.chat.completions.create(messages=TALK, n=2, stream=True, stream_options={"include_usage": True}, **DRAWN))
    for choice in whole.choices:
        own = [c for e in events for c in e.choices if c.index == choice.index]
        check("".join(c.delta.content or "" for c in own) == choice.message.content, "a chat in pieces")
        check([c.finish_reason for c in own if c.finish_reason] == [choice.finish_reason], "one end")
    check(events[-1].choices == [] and events[-1].usage.completion_tokens == whole.usage.completion_tokens, "usage")
    limited = {**DRAWN, "max_completion_tokens": 3}
    del limited["max_tokens"]
    check(client.chat.completions.create(messages=TALK, **limited).usage.completion_tokens <= 3, "max_completion_tokens")
    with client.chat.completions.stream(messages=TALK, **DRAWN) as stream:  # the helper that gathers a stream
        for _ in stream:
            pass
        check(stream.current_completion_snapshot.choices[0].message.content == whole.choices[0].message.content, "chat.stream")
    raw = client.chat.completions.with_raw_response.create(messages=TALK, extra_body={"chat_id": 1}, **DRAWN)
    check(raw.headers["x-moe-ignored"] == "chat_id", "with_raw_response sees what was ignored")
    check(raw.parse().choices[0].message.content == whole.choices[0].message.content, "and the answer")


def errors(server, client):
    def raises(expected, what, ask):
        try:
            ask()
        except openai.APIError as error:
            check(type(error) is expected, f"{what}: {type(error).__name__} {error}, expected {expected.__name__}")
            return error
        check(False, f"{what}: no error")
        return None

    create, chat = client.completions.create, client.chat.completions.create
    error = raises(openai.BadRequestError, "n", lambda: create(model="nano", prompt="a", n=0))
    check(error and error.param == "n" and error.code == "invalid_value" and error.request_id, f"its fields: {error!r}")
    error = raises(openai.BadRequestError, "context", lambda: create(model="nano", prompt=[5] * 2000))
    check(error and error.code == "context_length_exceeded", "context_length_exceeded")
    raises(openai.BadRequestError, "a stream that cannot begin", lambda: create(model="nano", prompt="a", n=0, stream=True))
    raises(openai.BadRequestError, "response_format", lambda: chat(model="nano", messages=TALK, response_format={"type": "json_object"}))
    raises(openai.NotFoundError, "model", lambda: create(model="other", prompt="a"))
    raises(openai.NotFoundError, "path", lambda: client.embeddings.create(model="nano", input="a"))
    raises(openai.AuthenticationError, "key", lambda: client_of(server, key="wrong").models.list())
    raises(openai.APITimeoutError, "timeout", lambda: client.with_options(timeout=0.02).completions.create(n=8, **LONG))
    check(wait_until(lambda: metric(server, "requests_running") == 0), "a request that timed out is ended")
    closed = OpenAI(base_url="http://127.0.0.1:9/v1", api_key="-", max_retries=0)
    raises(openai.APIConnectionError, "no server", closed.models.list)


def retries(program, model):
    """Of 429 the package tries again, as Retry-After says."""
    with Server(program, model, "--max-queue", "1", "--max-sequences", "1") as server:
        busy = client_of(server).completions.create(stream=True, **LONG)
        next(iter(busy))
        waits = client_of(server)

        async def ask():
            first = asyncio.create_task(asyncio.to_thread(waits.completions.create, prompt="In", **DRAWN))
            while metric(server, "requests_waiting") == 0:
                await asyncio.sleep(0.01)
            try:
                await asyncio.to_thread(client_of(server).completions.create, prompt="In", **DRAWN)
                check(False, "a full queue: no error")
            except openai.RateLimitError as error:
                check(error.response.headers["retry-after"] == "1", "Retry-After")
            again = asyncio.create_task(asyncio.to_thread(client_of(server, max_retries=5).completions.create, prompt="In", **DRAWN))
            await asyncio.sleep(0.1)
            busy.close()
            check((await first).choices[0].text == (await again).choices[0].text, "both are answered in the end")

        asyncio.run(ask())
        answers = server.call("/metrics")[2]
        check(re.search(r'^moe_http_responses_total\{[^}]*code="429"\} [1-9]', answers, re.M), "there were 429s")


def cancels(server):
    """A task that is cancelled leaves the batch: at most the step under way is still computed for it."""
    async def ask(stream):
        client = client_of(server, AsyncOpenAI, key="key")
        before = metric(server, "cancelled_total")

        async def read():
            answer = await client.completions.create(n=8, stream=stream, **LONG)
            async for _ in answer:
                pass

        task = asyncio.create_task(read())
        while metric(server, "requests_running") < 8:
            await asyncio.sleep(0.005)
        task.cancel()
        try:
            await task
            check(False, "a cancelled task ended well")
        except asyncio.CancelledError:
            pass
        started = time.monotonic()
        while metric(server, "requests_running") > 0 and time.monotonic() - started < 5:
            await asyncio.sleep(0.002)
        seconds, steps = time.monotonic() - started, metric(server, "steps_total")
        await asyncio.sleep(0.3)
        check(seconds < 0.5, f"cancelled, stream {stream}: gone from the batch after {seconds:.3f} s")
        check(metric(server, "steps_total") == steps, "and no step after that")
        check(metric(server, "cancelled_total") == before + 1, "one request was cancelled")
        await client.close()

    for stream in (True, False):
        asyncio.run(ask(stream))


def many_at_once(server):
    async def ask():
        async with client_of(server, AsyncOpenAI, key="key") as client:
            answers = await asyncio.gather(*(client.completions.create(prompt="In which", **{**DRAWN, "seed": i % 8}) for i in range(64)))
            texts = [a.choices[0].text for a in answers]
            check(all(texts[i] == texts[i % 8] for i in range(64)), "64 at once: equal seeds, equal texts")

    asyncio.run(ask())


def main():
    program, root = sys.argv[1:]
    model = os.path.join(root, "models/nano/nano-moe")
    print("openai", openai.__version__)
    with tempfile.NamedTemporaryFile("w") as keys:
        keys.write("key\n")
        keys.flush()
        with Server(program, model, "--chat-template", os.path.join(root, "tests/serve/chat.jinja"), "--cache-tokens", "20000",
                    "--api-key-file", keys.name) as server:
            # /metrics asks for the key as well.
            call = server.call
            server.call = lambda path, *more, **named: call(path, *more, **{"headers": {"Authorization": "Bearer key"}, **named})
            client = client_of(server, key="key")
            completions(client)
            chats(client)
            errors(server, client)
            cancels(server)
            many_at_once(server)
            client.close()
    retries(program, model)
    finish()


if __name__ == "__main__":
    main()
