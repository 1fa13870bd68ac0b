#!/usr/bin/env python3
"""check_settings.py MOE_SERVE ROOT: options of the server, limits of time and memory, the log, metrics."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from serving import Server, check, finish, receive_all, settled, status_of, wait_until

# Room for 64 replies of a thousand tokens: what runs when the time is over must last.
ROOM = ("--cache-tokens", "80000")
LONG = {"prompt": "In which month", "max_tokens": 1000, "temperature": 1, "seed": 7, "ignore_eos": True, "n": 64}
DRAWN = {"prompt": "In which month", "max_tokens": 24, "seed": 7, "ignore_eos": True}


def post(body, path=b"/v1/completions", length=None):
    return (b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (path, len(body) if length is None else length, body))


def metric(server, name, labels=""):
    found = re.search(rf'^moe_{name}\{{model_name="nano"{re.escape(labels)}\}} (\S+)$', server.call("/metrics")[2], re.M)
    return float(found.group(1)) if found else 0.0


def last_event(stream):
    return json.loads(stream.rsplit(b"data: ", 1)[1].split(b"\n\n")[0])


def copy_of(model, folder, files):
    """The model in a folder of its own, with further files."""
    os.makedirs(folder)
    for name in os.listdir(model):
        os.symlink(os.path.abspath(os.path.join(model, name)), os.path.join(folder, name))
    for name, content in files.items():
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            os.remove(path)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)
    return folder


def refused_starts(program, model, folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wrong = [(("--model", "/no/model", "--port", str(taken.getsockname()[1])), 1, "cannot listen")]
        wrong.append((("--model", model, "--port", "0", "--ctx", "5000"), 1, "--ctx is 5000"))
        wrong.append((("--model", model, "--port", "0", "--cache-tokens", "9" * 18), 2, "--cache-tokens"))
        wrong.append((("--model", model, "--port", "0", "--use-generation-config"), 1, "generation_config.json"))
        wrong.append((("--model", model, "--port", "0", "--host", ""), 1, "the host is empty"))
        wrong.append((("--model", model, "--port", "0", "--host", "127.0.0.1,127.0.0.1"), 1, "cannot listen on 127.0.0.1"))
        wrong.append((("--model", model, "--no-metrics", "--metrics-alias", "vllm"), 2, "excludes"))
        for number, (name, value) in enumerate((("temperature", "hot"), ("temperature", -1), ("top_k", 1.5), ("top_p", 0))):
            bad = copy_of(model, os.path.join(folder, f"bad{number}"), {"generation_config.json": {name: value}})
            wrong.append((("--model", bad, "--port", "0", "--use-generation-config"), 1, name))
        for options, status, why in wrong:
            found = subprocess.run([program, *options], capture_output=True, text=True, timeout=20)
            check(found.returncode == status and why in found.stderr and not found.stdout, f"{options}: {found}")
    found = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    check(re.fullmatch(r"moe-serve \d+\.\d+\.\d+\n", found.stdout) and found.returncode == 0, f"--version: {found}")


def time_over(program, model):
    with Server(program, model, *ROOM, "--request-timeout", "0.6") as server:
        started = time.monotonic()
        status, headers, text = server.call("/v1/completions", LONG)
        check(time.monotonic() - started < 5, "a request is given up in time")
        check(status == 504 and json.loads(text)["error"]["code"] == "request_timeout", f"the error: {status} {text[:200]}")
        check(headers["x-should-retry"] == "false", "clients do not try again")
        with server.connect() as client:
            client.sendall(post(json.dumps({**LONG, "stream": True}).encode()))
            stream = receive_all(client)
        check(status_of(stream) == 200 and last_event(stream)["error"]["code"] == "request_timeout", f"{stream[-300:]!r}")
        check(b"[DONE]" not in stream and not stream.endswith(b"0\r\n\r\n"), "a stream that is given up is seen not to be whole")
        check(wait_until(lambda: metric(server, "cancelled_total") == 2), "and it leaves the batch")
        check(metric(server, "rejected_total", ',reason="request_timeout"') == 2, "rejected_total")
        check(server.json("/v1/completions", DRAWN)[0] == 200, "a short request is answered")


def drain_over(program, model):
    with Server(program, model, *ROOM, "--drain-seconds", "0.4") as server:
        streamed, whole = server.connect(), server.connect()
        streamed.sendall(post(json.dumps({**LONG, "stream": True}).encode()))
        streamed.recv(10)
        whole.sendall(post(json.dumps(LONG).encode()))
        check(wait_until(lambda: metric(server, "requests_running") + metric(server, "requests_waiting") == 128), "both run")
        server.process.send_signal(signal.SIGTERM)
        stream, answer = receive_all(streamed), receive_all(whole)
        check(last_event(stream)["error"]["code"] == "draining" and b"[DONE]" not in stream, f"drained: {stream[-300:]!r}")
        check(status_of(answer) == 503 and b'"draining"' in answer, f"drained: {answer[:300]!r}")
        check(server.process.wait(timeout=10) == 0, "exit status 0")


def memory(program, model, root):
    template = ("--chat-template", os.path.join(root, "tests/serve/chat.jinja"))
    with Server(program, model, *ROOM, *template, "--buffer-memory", "200000") as server:
        half = server.connect()
        half.sendall(post(b" " * 150000, length=190000))
        check(wait_until(lambda: metric(server, "input_bytes_held") > 140000), "half a body is held")
        status, answer = server.json("/v1/completions", b" " * 100000 + json.dumps(DRAWN).encode())
        check(status == 503 and answer["error"]["code"] == "overloaded", f"another one is refused: {status} {answer}")
        check(server.call("/health")[0] == 200 and server.json("/v1/completions", DRAWN)[0] == 200, "smaller ones are served")
        half.close()
        check(wait_until(lambda: metric(server, "input_bytes_held") < 1000), "it is given back")
        check(server.json("/v1/completions", b" " * 100000 + json.dumps(DRAWN).encode())[0] == 200, "now it has room")
        large = {"prompt": ["In which month " * 60] * 16, "n": 32, "max_tokens": 1, "echo": True}
        status, answer = server.json("/v1/completions", large)
        check(status == 503 and answer["error"]["code"] == "overloaded", f"an answer beyond all memory: {status}")
        lists_beyond_memory(server)
    with Server(program, model, *ROOM, "--buffer-memory", "50000") as server:
        slow = server.connect(receive_buffer=4096)
        slow.sendall(post(json.dumps({**LONG, "stream": True, "logprobs": 20}).encode()))
        held = settled(lambda: metric(server, "output_bytes_held") if metric(server, "requests_paused") else 0)
        # The limit, a quarter of it in flight, and two steps of 64 events: the one that was running, and its follower.
        check(50000 < held < 50000 + 12500 + 2 * 64 * 1000, f"{held} bytes are held for a slow reader")
        check(server.json("/v1/completions", DRAWN)[0] == 200, "small answers have room")
        slow.close()
    plain = {**DRAWN, "echo": True, "logprobs": 2, "prompt": "In which month " * 30}
    with Server(program, model, "--logit-memory", "1") as server:
        small = server.json("/v1/completions", plain)[1]
    with Server(program, model) as server:
        large = server.json("/v1/completions", plain)[1]
        check(small["choices"] == large["choices"], "--logit-memory changes no bit")


def lists_beyond_memory(server):
    """Lists of log-probabilities that would exceed --buffer-memory are refused before they are made."""
    echoed = {"prompt": "In which month " * 8, "n": 8, "max_tokens": 0, "echo": True, "logprobs": 20}
    chat = {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True, "top_logprobs": 2, "ignore_eos": True}
    before = metric(server, "generation_tokens_total")
    for path, body in (("/v1/completions", {**DRAWN, "n": 16, "logprobs": 20, "max_tokens": 100}),
                       ("/v1/completions", {**DRAWN, "best_of": 64, "logprobs": 20}), ("/v1/completions", echoed),
                       ("/v1/completions", {**echoed, "stream": True}), ("/v1/chat/completions", {**chat, "max_tokens": 200})):
        status, answer = server.json(path, body)
        check(status == 400 and answer["error"]["param"] == "logprobs" and "--buffer-memory" in answer["error"]["message"],
              f"{body}: {status} {str(answer)[:300]}")
    check(metric(server, "generation_tokens_total") == before, "nothing was computed for them")
    status, answer = server.json("/v1/chat/completions", chat)
    check(status == 400 and answer["error"]["param"] == "logprobs", f"without a limit, when it has ended: {status}")
    status, answer = server.json("/v1/chat/completions", {**chat, "stop": ["a", "e", "i", "o", " "]})
    check(status == 200, f"without a limit, but short: {status} {str(answer)[:300]}")
    check(server.json("/v1/completions", {**DRAWN, "n": 2, "logprobs": 2})[0] == 200, "small lists have room")
    check(len(server.events("/v1/completions", {**DRAWN, "max_tokens": 200, "logprobs": 20})) >= 200, "streams are not whole")


def log_of_content(program, model):
    body = {**DRAWN, "prompt": ["In which\x07month", "Who"], "n": 2}
    for options in ((), ("--log-content",)):
        with Server(program, model, *options) as server:
            answer = server.json("/v1/completions", body)[1]
            server.stop()
            lines = [json.loads(line) for line in server.log]
            line = next(one for one in lines if one["path"] == "/v1/completions")
            check(("prompts" in line) == bool(options) and ("replies" in line) == bool(options), f"{options}: {line}")
            check(not any("\x07" in raw for raw in server.log), "control characters are escaped")
            if options:
                check(line["prompts"] == body["prompt"], f"prompts: {line['prompts']}")
                check(line["replies"] == [c["text"] for c in answer["choices"]], f"replies: {line['replies']}")


def generation_config(program, model, folder):
    said = {"do_sample": True, "temperature": 0.7, "top_k": 5, "repetition_penalty": 1.2, "max_length": 20}
    configured = copy_of(model, os.path.join(folder, "configured"), {"generation_config.json": said})
    with Server(program, configured) as server:
        plain = server.json("/v1/completions", DRAWN)[1]
        own = server.json("/v1/completions", {**DRAWN, "temperature": 0.7, "top_k": 5, "repetition_penalty": 1.2})[1]
        check("generation_config" not in server.json("/v1/models")[1]["data"][0]["meta"], "not used: not said")
    with Server(program, configured, "--use-generation-config") as server:
        followed = server.json("/v1/completions", DRAWN)[1]
        check(followed["choices"] == own["choices"] != plain["choices"], "the model's own settings are the defaults")
        check(followed["system_fingerprint"] != plain["system_fingerprint"], "another fingerprint")
        meta = server.json("/v1/models")[1]["data"][0]["meta"]
        check(meta["generation_config"] == {k: v for k, v in said.items() if k in ("temperature", "top_k", "repetition_penalty")},
              f"/v1/models: {meta}")
        over = {"temperature": 1, "top_k": 0, "repeat_penalty": 1}
        check(server.json("/v1/completions", {**DRAWN, **over})[1]["choices"] == plain["choices"], "a request's own win")
    greedy = copy_of(model, os.path.join(folder, "greedy"), {"generation_config.json": {"do_sample": False}})
    with Server(program, greedy, "--use-generation-config") as server:
        check(server.json("/v1/completions", {**DRAWN, "seed": None})[1]["choices"][0]["seed"] is None, "do_sample: false")


def templates(program, model, folder):
    """The template that is used is the one that is shown, and another one is another fingerprint."""
    named = copy_of(model, os.path.join(folder, "named"), {})
    os.makedirs(os.path.join(named, "additional_chat_templates"))
    for name in ("chat_template.jinja", "additional_chat_templates/short.jinja"):
        with open(os.path.join(named, name), "w", encoding="utf-8") as file:
            file.write(name)
    prints = set()
    for options, shown in (((), "chat_template.jinja"), (("--chat-template", "short"), "additional_chat_templates/short.jinja")):
        with Server(program, named, *options) as server:
            found = server.json("/tokenizer_info")[1]["chat_template"]
            check(found == shown, f"{options}: {found}")
            prints.add(server.json("/version")[1]["system_fingerprint"])
    check(len(prints) == 2, f"fingerprints: {prints}")


def control_tokens(program, model, root):
    template = ("--chat-template", os.path.join(root, "tests/serve/chat.jinja"))
    talk = {"messages": [{"role": "user", "content": "a<|eos|>b"}]}
    for options in ((), ("--parse-user-control-tokens",)):
        with Server(program, model, *template, *options) as server:
            ids = server.json("/tokenize", talk)[1]["tokens"]
            check((1 in ids) == bool(options), f"{options}: {ids}")
            counted = server.json("/v1/chat/completions/input_tokens", talk)[1]
            check(counted == {"input_tokens": len(ids)}, f"{options}: {counted}")


def short_context(program, model, root):
    """A chat without a limit ends where the cache does, also below --ctx, and is not refused."""
    template = os.path.join(root, "tests/serve/chat.jinja")
    talk = {"messages": [{"role": "user", "content": "Hi"}], "ignore_eos": True}
    with Server(program, model, "--ctx", "512", "--cache-tokens", "256", "--chat-template", template) as server:
        status, answer = server.json("/v1/chat/completions", talk)
        check(status == 200 and answer["choices"][0]["finish_reason"] == "length", f"a small cache: {status} {answer}")
        check(answer["usage"]["total_tokens"] == 257, f"to the cache's end, and the last token: {answer['usage']}")
        several = {**DRAWN, "prompt": [[5, 6], [5] * 300], "max_tokens": 200, "stream": True}
        status, answer = server.json("/v1/completions", several)
        check(status == 400 and answer["error"]["code"] == "context_length_exceeded", f"a prompt beyond the cache: {answer}")
        check(server.json("/v1/completions", DRAWN)[0] == 200 and metric(server, "cancelled_total") == 0, "none of it has begun")
    with Server(program, model, "--ctx", "128", "--chat-template", template) as server:
        status, answer = server.json("/v1/chat/completions", {**talk, "n": 12})
        check(status == 200 and len(answer["choices"]) == 12, f"more replies than contexts: {status} {answer}")
        status, answer = server.json("/v1/chat/completions", talk)
        check(answer["usage"]["total_tokens"] == 129, f"to the context's end: {answer['usage']}")


def bos_warning(program, model, folder):
    with open(os.path.join(model, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    bos = {"SpecialToken": {"id": "<|bos|>", "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing", "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|bos|>": {"id": "<|bos|>", "ids": [0], "tokens": ["<|bos|>"]}}}
    begun = copy_of(model, os.path.join(folder, "begun"), {"tokenizer.json": tokenizer})
    scored = {**DRAWN, "echo": True, "logprobs": 1}
    quiet = (DRAWN, {**scored, "prompt": [5, 6, 7]}, {**scored, "prompt": "<|bos|>In"}, {**scored, "add_special_tokens": False},
             {**scored, "logprobs": None})
    for name, bodies, expected in ((begun, quiet, 0), (begun, (scored, scored, {**scored, "prompt": ["In"]}), 1), (model, (scored,), 0)):
        with Server(program, name) as server:
            for body in bodies:
                check(server.json("/v1/completions", body)[0] == 200, f"{body}")
            server.stop()
            warnings = [line for line in map(json.loads, server.log) if "warning" in line]
            check(len(warnings) == expected, f"{name}: {warnings}")


def longer_tokenizer(program, model, folder):
    """A tokenizer with a token that the model has no row for, and whose texts begin without the first token's space."""
    with open(os.path.join(model, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    rows = len(tokenizer["model"]["vocab"])
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    tokenizer["decoder"] = {"type": "Sequence", "decoders": [tokenizer["decoder"], strip]}
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": rows, "content": "<|more|>"})
    longer = copy_of(model, os.path.join(folder, "longer"), {"tokenizer.json": tokenizer})
    with Server(program, longer) as server:
        status, answer = server.json("/v1/completions", {**DRAWN, "prompt": [5, rows]})
        error = answer.get("error", {})
        check(status == 400 and error["param"] == "prompt" and error["code"] == "invalid_value", f"no row: {status} {answer}")
        ids = server.json("/tokenize", {"prompt": " In which", "add_special_tokens": False})[1]["tokens"]
        for prompt, text in ((ids, "In which"), ([0] + ids, "In which"), (" In which", " In which")):
            body = {"prompt": prompt, "echo": True, "logprobs": 0, "max_tokens": 0}
            choice = server.json("/v1/completions", body)[1]["choices"][0]
            lists = choice["logprobs"]
            tokens = ["" if token == "<|bos|>" else token for token in lists["tokens"]]
            excess = len("".join(tokens)) - len(text)
            begins = [max(len("".join(tokens[:i])) - excess, 0) for i in range(len(tokens))]
            check(choice["text"] == text and lists["text_offset"] == begins, f"{prompt}: {choice}, expected offsets {begins}")


def metrics(program, model):
    for alias, names in (("vllm", ("iteration_tokens_total_count", "kv_cache_usage_perc", "gpu_cache_usage_perc",
                                   "time_per_output_token_seconds_count", "request_success_total")), ("llamacpp", ())):
        with Server(program, model, "--metrics-alias", alias) as server:
            server.json("/v1/completions", DRAWN)
            server.json("/v1/completions", {**DRAWN, "n": 0})
            server.call("/nothing")
            text = server.call("/metrics")[2]
            steps = metric(server, "steps_total")
            check(steps >= 24 and metric(server, "step_seconds_count") == steps == metric(server, "step_tokens_count"), "steps")
            check(metric(server, "step_tokens_sum") >= 26, "tokens of steps")
            check(metric(server, "rejected_total", ',reason="invalid_value"') == 1, "rejected_total of a value")
            check(metric(server, "rejected_total", ',reason="404"') == 1, "rejected_total of a path")
            for name in names:
                check(re.search(rf"^{alias}:{name}\{{", text, re.M), f"{alias}:{name}")
            families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
            check(len(dict(families)) == len(families), "each family once")
            check(re.findall(r"^# HELP (\S+) [A-Z].*\.\n# TYPE (\S+)", text, re.M) == [(n, n) for n, _ in families], "HELP and TYPE")
            for line in text.splitlines():
                sample = re.match(r"[a-z0-9_:]+", line)
                own = sample and re.sub(r"_(bucket|sum|count)$", "", sample.group())
                check(line.startswith("#") or own in dict(families) or sample.group() in dict(families), f"a family of {line}")


def metrics_of_replies(program, model):
    """Of several replies to a prompt, the time between tokens is that within a reply; the first token is one of all."""
    with Server(program, model) as server:
        started = time.monotonic()
        server.json("/v1/completions", {**DRAWN, "n": 4})
        seconds = time.monotonic() - started
        times = metric(server, "inter_token_latency_seconds_count")
        check(times == 4 * (DRAWN["max_tokens"] - 1), f"times between tokens: {times}")
        between = metric(server, "inter_token_latency_seconds_sum")
        check(between < 4 * seconds, f"{between} s between the tokens of 4 replies in {seconds} s")
        check(metric(server, "time_to_first_token_seconds_count") == 1, "one first token")
        first = metric(server, "time_to_first_token_seconds_sum")
        server.json("/v1/completions", {**DRAWN, "prompt": [DRAWN["prompt"], "Who"]})
        check(metric(server, "time_to_first_token_seconds_count") == 3, "a first token of each prompt")
        second = metric(server, "time_to_first_token_seconds_sum") - first
        server.stop()
    logged = [line["first_token_seconds"] for line in map(json.loads, server.log) if "first_token_seconds" in line]
    check(len(logged) == 2 and logged[0] == first and 0 < logged[1] <= second / 2,
          f"first tokens in the log: {logged}, in the metrics {first}, then {second} of two prompts")


def metrics_of_llamacpp(program, model):
    """Names, types and values that llama.cpp's dashboards read; without labels."""
    prompt = "In which month was Verta Palthus born?"
    with Server(program, model, "--metrics-alias", "llamacpp") as server:
        idle = server.call("/metrics")[2]
        check(re.search(r"^llamacpp:prompt_tokens_seconds 0$", idle, re.M), "nothing is divided by no time")
        usages = [server.json("/v1/completions", {**DRAWN, "prompt": prompt, "max_tokens": most})[1]["usage"]
                  for most in (24, 1, 9)]
        _, headers, text = server.call("/metrics")
        value = {name: float(number) for name, number in re.findall(r"^llamacpp:(\w+) (\S+)$", text, re.M)}
        types = dict(re.findall(r"^# TYPE llamacpp:(\w+) (\S+)$", text, re.M))
        check(types.keys() == value.keys() and len(value) == 15, f"one line each, without labels: {value}")
        gauges = {name for name, kind in types.items() if kind == "gauge"}
        check(gauges == {"prompt_tokens_seconds", "predicted_tokens_seconds", "requests_processing", "requests_deferred",
                         "n_busy_slots_per_decode"}, f"gauges: {gauges}")
        asked = sum(usage["prompt_tokens"] for usage in usages)
        cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
        check(0 < cached == value["prompt_tokens_cached_total"], f"cached: {cached}, {value}")
        check(value["prompt_tokens_total"] == asked - cached, f"computed of prompts: {asked} - {cached}, {value}")
        check(value["tokens_predicted_total"] == 34, f"of replies: {value}")
        # The last token of a reply is not run.
        check(value["n_tokens_max"] == usages[0]["prompt_tokens"] + 23, f"the longest: {value['n_tokens_max']}")
        check(value["n_decode_total"] == metric(server, "steps_total") and value["n_busy_slots_per_decode"] == 1, "steps")
        both = value["prompt_seconds_total"] + value["tokens_predicted_seconds_total"]
        check(abs(both - metric(server, "step_seconds_sum")) < 1e-3 * both, f"seconds of steps: {both}")
        # The first token of a reply costs no step of its own.
        for tokens, speed, seconds in ((asked - cached, "prompt_tokens_seconds", "prompt_seconds_total"),
                                       (34 - 3, "predicted_tokens_seconds", "tokens_predicted_seconds_total")):
            check(abs(value[speed] * value[seconds] - tokens) < 0.01, f"{speed}: {value[speed]} in {value[seconds]} s")
        drafted = [value[f"spec_decode_{name}_total"] for name in ("num_draft_tokens", "num_accepted_tokens", "num_drafts")]
        check(drafted == [0, 0, 0], "nothing is drafted")
        began = int(headers["Process-Start-Time-Unix"])
        check(time.time() - 60 < began <= time.time(), f"Process-Start-Time-Unix: {began}")


def no_metrics(program, model):
    with Server(program, model, "--no-metrics") as server:
        status, _, text = server.call("/metrics")
        check(status == 501 and json.loads(text)["error"]["type"] == "not_supported_error", f"--no-metrics: {status} {text}")
        check(server.json("/v1/completions", DRAWN)[0] == 200, "the rest is there")


def brackets(program, model):
    """--alias is one name each time, whatever it is made of."""
    with Server(program, model, "--alias", "[one,two]") as server:
        names = [served["id"] for served in server.json("/v1/models")[1]["data"]]
        check(names == ["nano", "[one,two]"], f"names: {names}")
    found = subprocess.run([program, "--model", model, "--port", "0", "--alias", "one", "two"], capture_output=True, text=True,
                           timeout=20)
    check(found.returncode == 2 and "two" in found.stderr, f"--alias one two: {found}")


def addresses(program, model):
    """Several, one port; loopback ones ask for their names as Host."""
    def status(address, port, host):
        with socket.create_connection((address, port), timeout=10) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host)
            return status_of(receive_all(client))

    for options in (("--host", "127.0.0.1,127.0.0.2"), ("--host", "127.0.0.1", "--host", "127.0.0.2")):
        with Server(program, model, *options) as server:
            check(f"http://127.0.0.1:{server.port}, http://127.0.0.2:{server.port} serves" in server.line, server.line)
            for address in ("127.0.0.1", "127.0.0.2"):
                found = [status(address, server.port, host) for host in (b"127.0.0.2", b"localhost", b"127.0.0.3", b"a.example")]
                check(found == [200, 200, 403, 403], f"{address}: {found}")
            with socket.socket() as other:
                check(other.connect_ex(("127.0.0.3", server.port)) != 0, "nobody listens at another address")
            taken = str(server.port)
            start = [program, "--model", model, "--host", "127.0.0.3,127.0.0.2", "--port", taken]
            found = subprocess.run(start, capture_output=True, text=True, timeout=20)
            check(found.returncode == 1 and f"cannot listen on 127.0.0.2, port {taken}" in found.stderr, f"taken: {found}")
    if socket.has_ipv6:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            return
        with Server(program, model, "--host", "::,0.0.0.0") as server:
            for address in ("127.0.0.1", "127.0.0.2", "::1"):
                check(status(address, server.port, b"a.example") == 200, f"all addresses: {address}")


def main():
    program, root = sys.argv[1:]
    model = os.path.join(root, "models/nano/nano-moe")
    folder = tempfile.mkdtemp()
    for part, more in ((refused_starts, (folder,)), (time_over, ()), (drain_over, ()), (memory, (root,)), (log_of_content, ()),
                       (generation_config, (folder,)), (templates, (folder,)), (control_tokens, (root,)),
                       (short_context, (root,)), (bos_warning, (folder,)), (longer_tokenizer, (folder,)), (metrics, ()),
                       (metrics_of_replies, ()),
                       (metrics_of_llamacpp, ()), (no_metrics, ()), (brackets, ()), (addresses, ())):
        started = time.monotonic()
        part(program, model, *more)
        print(f"{part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    shutil.rmtree(folder)
    finish()


if __name__ == "__main__":
    main()
