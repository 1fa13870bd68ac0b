#!/usr/bin/env python3
"""exact.py MOE_SERVE MOE_RUN ROOT [--full]: an answer does not depend on load.

200 requests of every kind are answered one by one by a fresh server that keeps nothing. Then they come again in random
order, at once, beside clients that leave: at three concurrencies, with a cache of a quarter of what they need, steps of
several sizes, one and two threads, with and without kept prefixes, streamed and not, of three API keys that take turns.
Every body must be the same byte for byte, less id, created and cached_tokens. Some are compared with moe-run. --full: all combinations, several seeds.
"""

import concurrent.futures
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time

from serving import PATIENCE, Server, check, finish, wait_until

COUNT = 200
KEYS = ("one", "two", "three")


def questions(root):
    with open(os.path.join(root, "models/nano/nano_exam.jsonl"), encoding="utf-8") as lines:
        return [json.loads(line) for line in itertools.islice(lines, 400)]


def requests_of(exam, ids_of, chance):
    """(path, body) of COUNT requests; neighbours of the exam share prefixes, as clients' requests do."""
    out = []
    for number in range(COUNT):
        asked = exam[chance.randrange(len(exam))]
        text = f"Question: {asked['question']}\nAnswer:"
        answer = text + " " + asked["choices"][chance.randrange(4)]
        seed = {"temperature": 1, "seed": number}
        kind = number % 10
        if kind == 0:
            body = {"prompt": text, "temperature": 0, "max_tokens": 170, "ignore_eos": True}
        elif kind == 1:
            body = {"prompt": text, **seed, "max_tokens": 170, "top_p": 0.9, "ignore_eos": True}
        elif kind == 2:
            body = {"prompt": text, **seed, "max_tokens": 16, "n": 3, "logprobs": 2}
        elif kind == 3:
            body = {"prompt": text, **seed, "max_tokens": 60, "stop": ["\n", "on", "th"], "ignore_eos": True}
        elif kind == 4:
            body = {"prompt": [ids_of(answer)], "temperature": 0, "max_tokens": 1, "logprobs": 1, "echo": True, "seed": 1234}
        elif kind == 5:
            body = {"prompt": answer, "max_tokens": 0, "logprobs": 3, "echo": True, "seed": 1}
        elif kind == 6:
            body = {"prompt": [text, answer, "In"], **seed, "max_tokens": 8, "logprobs": 0}
        elif kind == 7:
            body = {"prompt": ids_of(text), **seed, "max_tokens": 20, "min_p": 0.05, "top_k": 20,
                    "repetition_penalty": 1.1, "logit_bias": {"75": 2}, "min_tokens": 4}
        elif kind == 8:
            body = {"messages": [{"role": "user", "content": asked["question"]}], **seed, "max_tokens": 150, "logprobs": True,
                    "top_logprobs": 2, "ignore_eos": True}
        else:
            body = {"prompt": text * 6, "temperature": 0, "max_tokens": 12, "echo": True, "logprobs": 1}
        out.append(("/v1/chat/completions" if "messages" in body else "/v1/completions", body))
    return out


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def settled(answer):
    """The body without what may differ, as bytes."""
    answer = {k: v for k, v in answer.items() if k not in ("id", "created")}
    answer.get("usage", {}).pop("prompt_tokens_details", None)
    return json.dumps(answer, sort_keys=False)


def joined(events):
    """The whole answer that the events of a stream amount to."""
    whole = {k: v for k, v in events[-1].items() if k not in ("choices", "usage")}
    whole["object"] = whole["object"].replace(".chunk", "")
    choices = {}
    for event in events[:-1]:
        for part in event["choices"]:
            choice = choices.setdefault(part["index"], {"text": "", "lists": None, "end": None})
            delta = part.get("delta", part)
            choice["text"] += delta.get("content" if "delta" in part else "text") or ""
            if part.get("logprobs"):
                lists = choice["lists"] = choice["lists"] or {k: [] for k in part["logprobs"]}
                for key, values in part["logprobs"].items():
                    lists[key] += values
            if part["finish_reason"]:
                choice["end"] = (part["finish_reason"], part.get("stop_reason"), part.get("seed"))
    usage = events[-1]["usage"]
    usage.pop("prompt_tokens_details", None)
    return [choices[i] for i in sorted(choices)], usage


def parts_of(answer):
    """The same of an answer that came whole."""
    choices = []
    for choice in answer["choices"]:
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        choices.append({"text": text, "lists": choice["logprobs"],
                        "end": (choice["finish_reason"], choice.get("stop_reason"), choice.get("seed"))})
    usage = {k: v for k, v in answer["usage"].items() if k != "prompt_tokens_details"}
    return choices, usage


def leave_early(server, body, chance):
    """A client that goes away before its answer is there."""
    data = json.dumps({**body, "stream": chance.random() < 0.5}).encode()
    head = (f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
            f"Authorization: Bearer {KEYS[0]}")
    with server.connect() as client:
        client.sendall(head.encode() + b"\r\n\r\n" + data)
        time.sleep(chance.random() * 0.05)


def replay(server, asked, expected, concurrency, seed, what):
    chance = random.Random(seed)
    jobs = [(i, chance.random() < 0.5) for i in range(len(asked))]
    jobs += [(-1 - i, False) for i in range(len(asked) // 10)]
    chance.shuffle(jobs)
    different = []

    def one(job):
        number, is_streamed = job
        if number < 0:
            leave_early(server, {"prompt": "Question: In", "max_tokens": 200, "ignore_eos": True, "n": 2}, chance)
            return
        path, body = asked[number]
        headers = bearer(KEYS[number % len(KEYS)])
        if is_streamed:
            events = server.events(path, {**body, "stream_options": {"include_usage": True}}, headers=headers)
            if joined(events) != parts_of(expected[number]):
                different.append((number, "streamed"))
        else:
            status, answer = server.json(path, body, headers=headers)
            if status != 200 or settled(answer) != settled(expected[number]):
                different.append((number, status))

    with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(one, jobs))
    check(not different, f"{what}: {len(different)} answers differ: {sorted(different)[:8]}")


def counter(server, name):
    return int(server.call("/metrics", headers=bearer(KEYS[0]))[2].split(f"\nmoe_{name}{{")[1].split("} ")[1].split("\n")[0])


def equal_to_moe_run(moe_run, model, asked, expected):
    for number in [n for n in range(COUNT) if n % 10 in (0, 1)][:20]:
        body = asked[number][1]
        more = ["--ignore-eos"] if body.get("ignore_eos") else []
        more += ["--top-p", str(body["top_p"])] if "top_p" in body else []
        out = subprocess.run([moe_run, "--model", model, "--prompt", body["prompt"], "-n", str(body["max_tokens"]), "--temp",
                              str(body["temperature"]), "--seed", str(body.get("seed", 0)), "--threads", "1", *more],
                             check=True, capture_output=True).stdout.decode()
        text = expected[number]["choices"][0]["text"]
        check(out == text + "\n", f"moe-run of request {number}: {out!r}, the server: {text!r}")


def main():
    program, moe_run, root = sys.argv[1:4]
    is_full = "--full" in sys.argv[4:]
    model = os.path.join(root, "models/nano/nano-moe")
    template = ["--chat-template", os.path.join(root, "tests/serve/chat.jinja")]
    chance = random.Random(7)
    with Server(program, model, *template, "--prefix-cache-tokens", "0") as server:
        def ids_of(text):
            return server.json("/tokenize", {"prompt": text})[1]["tokens"]

        asked = requests_of(questions(root), ids_of, chance)
        expected = []
        for path, body in asked:
            status, answer = server.json(path, body)
            check(status == 200, f"{body}: {status} {answer}")
            expected.append(answer)
    equal_to_moe_run(moe_run, model, asked, expected)

    quarter = ("--cache-tokens", "768")
    if is_full:
        settings = list(itertools.product((1, 8, 64), (quarter, ()), (16, 64, 512), (1, 2), (True, False)))
    else:
        settings = [(8, quarter, 16, 1, True), (64, quarter, 64, 2, True), (64, (), 512, 2, False), (1, (), 512, 1, True),
                    (64, quarter, 512, 1, False)]
    preemptions = 0
    keys = tempfile.NamedTemporaryFile("w")
    keys.write("\n".join(KEYS))
    keys.flush()
    for seed, (concurrency, cache, batch, threads, keeps) in enumerate(settings):
        index = () if keeps else ("--prefix-cache-tokens", "0")
        started = time.monotonic()
        # Several keys' replies take turns where a step is short, or has few of them.
        turns = ("--max-step-ms", "0.5", "--max-sequences", "8") if seed % 2 == 0 else ()
        with Server(program, model, *template, *cache, *index, *turns, "--batch-tokens", str(batch), "--api-key-file", keys.name,
                    threads=str(threads), patience=4 * PATIENCE) as server:  # up to 64 requests take turns
            what = f"{concurrency} at once, {' '.join(cache + index + turns)} steps of {batch}, {threads} threads"
            replay(server, asked, expected, concurrency, seed, what)
            check(wait_until(lambda: counter(server, "requests_running") + counter(server, "requests_waiting") == 0), what + ": idle")
            preemptions += counter(server, "preemptions_total")
            reused = counter(server, "prompt_tokens_cached_total")
            check((reused > 0) == keeps, f"{what}: {reused} tokens reused")
        print(f"{what}: {time.monotonic() - started:.1f} s", flush=True)
    check(preemptions > 0, "no setting preempted anybody: the cache is too large for this test")
    finish()


main()
