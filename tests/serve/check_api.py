#!/usr/bin/env python3
"""check_api.py MOE_SERVE MOE_EVAL MOE_RUN ROOT: endpoints, fields, log-probabilities, streams, errors."""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from serving import Server, check, finish

TEXT = "Question: In which month was Verta Palthus born?\nAnswer:"
GREEDY = {"temperature": 0, "max_tokens": 8}
DRAWN = {"temperature": 1, "seed": 11, "max_tokens": 12, "ignore_eos": True}
WHATEVER = ("id", "created")


def complete(server, **body):
    status, answer = server.json("/v1/completions", {"prompt": TEXT, **body})
    check(status == 200, f"{body}: {status} {str(answer)[:300]}")
    return answer


def without_changes(answer):
    answer = {k: v for k, v in answer.items() if k not in WHATEVER}
    answer.get("usage", {}).pop("prompt_tokens_details", None)
    return answer


def refused(server, body, status, param=None, code=None, path="/v1/completions", prompt=True):
    found, answer = server.json(path, {"prompt": TEXT, **body} if prompt else body)
    error = answer.get("error", {})
    good = (found == status and error.get("message") and set(error) >= {"message", "type", "param", "code"}
            and (param is None or error["param"] == param) and (code is None or error["code"] == code))
    check(good, f"{path} {str(body)[:100]}: {found} {str(answer)[:300]}, expected {status}, {param}, {code}")


def equal_to_moe_eval(server, moe_eval, root):
    """The log-likelihoods of answers are those of moe-eval, bit by bit."""
    folder = tempfile.mkdtemp()
    subprocess.run([moe_eval, "--model", "nano=" + os.path.join(root, "models/nano/nano-moe"), "--tasks",
                    os.path.join(root, "models/nano/nano_exam.jsonl"), "--limit", "12", "--threads", "1", "--out", folder],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path = next(os.path.join(folder, "nano", f) for f in os.listdir(os.path.join(folder, "nano")) if "samples" in f)
    asked, expected = [], []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            for i, resp in enumerate(sample["resps"]):
                asked.append(sample["arguments"][f"gen_args_{i}"])
                expected.append((float(resp[0][0]), resp[0][1] == "True"))
    shutil.rmtree(folder)

    def ids(text):
        return server.json("/tokenize", {"prompt": text, "add_special_tokens": False})[1]["tokens"]

    def score(pair):
        whole, context = ids(pair["arg_0"] + pair["arg_1"]), ids(pair["arg_0"])
        answer = complete(server, prompt=[whole], temperature=0, max_tokens=1, logprobs=1, echo=True, seed=1234)
        lists = answer["choices"][0]["logprobs"]
        check(all(len(lists[k]) == len(whole) + 1 for k in lists), "as many entries as tokens and one more")
        values = lists["token_logprobs"][len(context):-1]
        total = 0.0
        for value in values:
            total += value
        best = lists["top_logprobs"][len(context):-1]
        return total, all(v == max(b.values()) for v, b in zip(values, best))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(score, asked))
    different = [i for i, pair in enumerate(found) if pair != expected[i]]
    check(len(found) >= 48 and not different, f"moe-eval: {len(different)} of {len(found)} differ: {different[:3]}")


def logprob_lists(server):
    answer = complete(server, prompt="In which month", echo=True, logprobs=3, max_tokens=4, temperature=0)
    choice = answer["choices"][0]
    lists = choice["logprobs"]
    count = answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    check(all(len(v) == count for v in lists.values()), "lengths of the four lists")
    check(lists["token_logprobs"][0] is None and lists["top_logprobs"][0] is None, "nothing before the first token")
    check(all(v is not None for v in lists["token_logprobs"][1:]), "and something before all others")
    for token, value, best in list(zip(lists["tokens"], lists["token_logprobs"], lists["top_logprobs"]))[1:]:
        ranked = list(best.values())
        check(best[token] == value, f"{token}: {best} against {value}")
        check(ranked[:3] == sorted(ranked, reverse=True)[:3] and len(ranked) in (3, 4), f"best first: {best}")
    check("".join(lists["tokens"]) == choice["text"], "the tokens are the text")
    at = 0
    for token, offset in zip(lists["tokens"], lists["text_offset"]):
        check(offset == at, f"text_offset of {token!r}: {offset}, expected {at}")
        at += len(token)
    alone = complete(server, logprobs=0, **GREEDY)["choices"][0]["logprobs"]
    check(all(list(b) == [t] for t, b in zip(alone["tokens"], alone["top_logprobs"])), "logprobs 0: the token alone")
    check(alone["text_offset"][0] == 0, "without echo offsets begin at 0")
    scored = complete(server, echo=True, logprobs=1, max_tokens=0)["choices"][0]
    check(scored["text"] == TEXT and scored["finish_reason"] == "length", "max_tokens 0 with echo")
    check(complete(server, echo=True, max_tokens=0)["choices"][0]["logprobs"] is None, "and without logprobs")
    tokens = server.json("/tokenize", {"prompt": "é€😀é"})[1]["tokens"]
    bytes_ = complete(server, prompt=tokens, echo=True, logprobs=0, max_tokens=1)["choices"][0]
    check(bytes_["text"].startswith("é€😀é"), "ids of bytes are a text again")
    offsets = bytes_["logprobs"]["text_offset"]
    check(offsets == sorted(offsets) and offsets[-1] == 4, f"offsets count characters: {offsets}")
    parts = [t for t in bytes_["logprobs"]["tokens"] if t.startswith("bytes:\\x")]
    check(len(parts) > 0, f"tokens that are no characters: {bytes_['logprobs']['tokens']}")


def streams(server):
    for body in ({**GREEDY, "logprobs": 2}, {**GREEDY, "echo": True, "logprobs": 1}, DRAWN, {**DRAWN, "n": 3},
                 {**DRAWN, "stop": ["a", "on"]}, {**DRAWN, "stop": "o", "include_stop_str_in_output": True},
                 {**DRAWN, "prompt": ["In", "Who", [72, 73]], "logprobs": 0}, {"echo": True, "max_tokens": 0, "logprobs": 1, "seed": 4},
                 {**DRAWN, "logit_bias": {"230": 20, "160": 20}, "logprobs": 1}):
        whole = complete(server, **body)
        events = server.events("/v1/completions", {"prompt": TEXT, **body, "stream_options": {"include_usage": True}})
        check(len({(e["id"], e["created"], e["model"], e["system_fingerprint"]) for e in events}) == 1, "one id")
        check(events[-1]["choices"] == [] and all("usage" not in e for e in events[:-1]), "usage is in the last event")
        usages = [without_changes({"usage": dict(u)}) for u in (events[-1]["usage"], whole["usage"])]
        check(usages[0] == usages[1], f"usage: {usages}")
        for choice in whole["choices"]:
            own = [e["choices"][0] for e in events[:-1] if e["choices"][0]["index"] == choice["index"]]
            check("".join(c["text"] for c in own) == choice["text"], f"{body}: text {choice['index']} in pieces")
            ends = [c["finish_reason"] for c in own]
            check(ends[-1] == choice["finish_reason"] and not any(ends[:-1]), f"one end: {ends}")
            check(own[-1]["seed"] == choice["seed"] and own[-1]["stop_reason"] == choice["stop_reason"], "its end")
            if choice["logprobs"]:
                for key, values in choice["logprobs"].items():
                    joined = [v for c in own if c["logprobs"] for v in c["logprobs"][key]]
                    check(joined == values, f"{body}: {key} in pieces")


def replies(server, moe_run, root):
    one = complete(server, **DRAWN)
    check(without_changes(one) == without_changes(complete(server, **DRAWN)), "the same request, the same answer")
    check(one["choices"][0]["seed"] == 11, "the seed comes back")
    check(complete(server, **GREEDY)["choices"][0]["seed"] is None, "and none where nothing is drawn")
    drawn = complete(server, temperature=1, max_tokens=12, ignore_eos=True)["choices"][0]
    again = complete(server, temperature=1, max_tokens=12, ignore_eos=True, seed=drawn["seed"])["choices"][0]
    check(drawn["text"] == again["text"], "a drawn seed gives the reply again")
    several = complete(server, **DRAWN, n=3)["choices"]
    check([c["index"] for c in several] == [0, 1, 2], "indices")
    check(several[0]["text"] == one["choices"][0]["text"] and len({c["text"] for c in several}) == 3, "n replies")
    for choice in several:
        alone = complete(server, **{**DRAWN, "seed": choice["seed"]})["choices"][0]
        check(alone["text"] == choice["text"], "each from its own seed")
    best = complete(server, **DRAWN, n=1, best_of=3, logprobs=0)["choices"][0]
    of = complete(server, **DRAWN, n=3, logprobs=0)["choices"]
    mean = [sum(c["logprobs"]["token_logprobs"]) / len(c["logprobs"]["token_logprobs"]) for c in of]
    check(best["text"] == of[mean.index(max(mean))]["text"], "best_of gives the likeliest")
    many = complete(server, **DRAWN, prompt=["In", "Who", [72, 73]], n=2)["choices"]
    check([c["index"] for c in many] == list(range(6)), "prompts times n")
    check(many[2]["text"] == complete(server, **DRAWN, prompt="Who")["choices"][0]["text"], "prompt-major")
    text = one["choices"][0]["text"]
    stop = text[3:5]
    stopped = complete(server, **DRAWN, stop=[stop, "never written"])["choices"][0]
    check(stopped["text"] == text[: text.index(stop)], f"stop at {stop!r}: {stopped['text']!r} of {text!r}")
    check(stopped["finish_reason"] == "stop" and stopped["stop_reason"] == stop, "stop_reason")
    kept = complete(server, **DRAWN, stop=stop, include_stop_str_in_output=True)["choices"][0]
    check(kept["text"] == text[: text.index(stop)] + stop, "include_stop_str_in_output")
    ids = server.json("/tokenize", {"prompt": TEXT})[1]["tokens"]
    check(complete(server, **DRAWN, prompt=ids)["choices"][0]["text"] == text, "ids instead of a text")
    out = subprocess.run([moe_run, "--model", os.path.join(root, "models/nano/nano-moe"), "--prompt", TEXT, "-n", "12",
                          "--temp", "1", "--seed", "11", "--ignore-eos", "--threads", "1"],
                         check=True, capture_output=True, text=True).stdout
    check(out == text + "\n", f"moe-run: {out!r} against {text!r}")
    cut = complete(server, **GREEDY, prompt=[5] * 50 + ids, truncate_prompt_tokens=len(ids), echo=True)
    check(cut["choices"][0]["text"] == TEXT + complete(server, **GREEDY)["choices"][0]["text"],
          "truncate_prompt_tokens keeps the end")
    bias = complete(server, temperature=0, max_tokens=3, logit_bias={"75": 100})["choices"][0]
    check(bias["text"] == server.json("/detokenize", {"tokens": [75] * 3})[1]["prompt"], "logit_bias")
    work = complete(server, **GREEDY, include_work=True)["usage"]["work"]
    check(work["flops"] > 0, "include_work")


def chats(server):
    talk = {"messages": [{"role": "system", "content": "Be short."},
                         {"role": "user", "content": [{"type": "text", "text": "In "}, {"type": "text", "text": "which"}]}]}
    status, rendered = server.json("/apply-template", talk)
    check(rendered == {"prompt": "system: Be short.\nuser: In which\nassistant:"}, f"apply-template: {rendered}")
    _, counted = server.json("/v1/chat/completions/input_tokens", talk)
    ids = server.json("/tokenize", talk)[1]["tokens"]
    check(counted == {"input_tokens": len(ids)}, "input_tokens")
    check(server.json("/tokenize", {"prompt": talk["messages"]})[1]["tokens"] == ids, "messages as prompt: lm-eval")
    settings = {**DRAWN, "logprobs": True, "top_logprobs": 2, "n": 2}
    status, answer = server.json("/v1/chat/completions", {**talk, **settings})
    check(status == 200 and answer["object"] == "chat.completion", f"chat: {status} {answer}")
    plain = complete(server, **DRAWN, prompt=ids)
    check(answer["choices"][0]["message"] == {"role": "assistant", "content": plain["choices"][0]["text"]}, "the reply")
    content = answer["choices"][0]["logprobs"]["content"]
    check(len(content) == 12 and all(len(c["top_logprobs"]) == 2 for c in content), "top_logprobs")
    check(bytes(b for c in content for b in c["bytes"]).decode(errors="replace") == plain["choices"][0]["text"], "bytes")
    events = server.events("/v1/chat/completions", {**talk, **settings})
    for choice in answer["choices"]:
        own = [e["choices"][0] for e in events if e["choices"][0]["index"] == choice["index"]]
        check(own[0]["delta"] == {"role": "assistant", "content": None}, f"the first event: {own[0]}")
        check(own[-1]["delta"] == {} and own[-1]["finish_reason"] == "length", f"the last event: {own[-1]}")
        text = "".join(c["delta"]["content"] for c in own[1:-1])
        check(text == choice["message"]["content"], "chat text in pieces")
        joined = [v for c in own if c["logprobs"] for v in c["logprobs"]["content"]]
        check(joined == choice["logprobs"]["content"], "chat logprobs in pieces")
    _, mood = server.json("/apply-template", {**talk, "chat_template_kwargs": {"mood": "gay"}})
    check(mood["prompt"].endswith("assistant: (gay)"), "chat_template_kwargs")
    _, end = server.json("/apply-template", {**talk, "add_generation_prompt": False})
    check(end["prompt"].endswith("which\n"), "add_generation_prompt")
    ended = {"messages": talk["messages"] + [{"role": "assistant", "content": "It was"}], "continue_final_message": True}
    check(server.json("/apply-template", ended)[1]["prompt"].endswith("assistant: It was"), "continue_final_message")
    for sent, shown in (('{"city": "Rome"}', '{"city": "Rome"}'), ({"city": "Rome"}, '{"city": "Rome"}'),
                        ("Rome", '"Rome"'), ("[1]", '"[1]"'), ("", '""'), (None, "null")):
        call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": sent}}
        asked = {"messages": [talk["messages"][0], {"role": "assistant", "content": None, "tool_calls": [call]}]}
        _, rendered = server.json("/apply-template", {**asked, "add_generation_prompt": False})
        check(rendered == {"prompt": f"system: Be short.\nassistant: {shown}\n"}, f"arguments {sent!r}: {rendered}")
    # Calls of other forms are the template's matter: this one's filter refuses arguments that are not there.
    for call in (7, {"function": 3}, {"function": {"name": "weather"}}):
        asked = {"messages": [talk["messages"][0], {"role": "assistant", "content": None, "tool_calls": [call]}]}
        status, _ = server.json("/apply-template", asked)
        check(status == 400, f"a call {call!r}: {status}")
    chat = "/v1/chat/completions"
    for body, param in (({}, "messages"), ({"messages": []}, "messages"), ({"messages": [7]}, "messages"),
                        ({"messages": [{"role": "king", "content": "a"}]}, "messages"),
                        ({"messages": [{"role": "user"}]}, "messages"),
                        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
                        ({**talk, "response_format": {"type": "json_object"}}, "response_format"),
                        ({**talk, "tool_choice": "required"}, "tool_choice"), ({**talk, "echo": True}, "echo"),
                        ({**talk, "top_logprobs": 3}, "top_logprobs"), ({**talk, "logprobs": 3}, "logprobs"),
                        ({**talk, "chat_template": "x"}, "chat_template"), ({**talk, "max_tokens": 0}, "max_tokens"),
                        ({**ended, "add_generation_prompt": True}, "continue_final_message")):
        refused(server, body, 400, param, path=chat, prompt=False)
    allowed = {"response_format": {"type": "text"}, "tool_choice": "auto", "parallel_tool_calls": False, "user": "u",
               "modalities": ["text"], "service_tier": "auto"}
    check(server.json(chat, {**talk, **allowed, "max_tokens": 1})[0] == 200, "neutral values pass")


def errors(server):
    for body, param in (({"prompt": None}, "prompt"), ({"prompt": []}, "prompt"), ({"prompt": ""}, "prompt"),
                        ({"prompt": [[]]}, "prompt"), ({"prompt": [1792]}, "prompt"), ({"prompt": [-1]}, "prompt"),
                        ({"prompt": [1.5]}, "prompt"), ({"prompt": {}}, "prompt"), ({"prompt": ["a"] * 257}, "prompt"),
                        ({"max_tokens": -1}, "max_tokens"), ({"max_tokens": "5"}, "max_tokens"), ({"max_tokens": 0}, "max_tokens"),
                        ({"max_tokens": 1.5}, "max_tokens"), ({"temperature": -0.1}, "temperature"),
                        ({"temperature": True}, "temperature"), ({"top_p": 1.1}, "top_p"), ({"n": 0}, "n"), ({"n": 65}, "n"),
                        ({"logprobs": 21}, "logprobs"), ({"logprobs": True}, "logprobs"), ({"echo": 1}, "echo"),
                        ({"stop": [""]}, "stop"), ({"stop": 5}, "stop"), ({"stop": ["a"] * 65}, "stop"),
                        ({"stop_token_ids": [5000]}, "stop_token_ids"), ({"stop_token_ids": 3}, "stop_token_ids"),
                        ({"logit_bias": {"x": 1}}, "logit_bias"), ({"logit_bias": {"5": 101}}, "logit_bias"),
                        ({"logit_bias": {"5": "1"}}, "logit_bias"), ({"logit_bias": {"5": 1, "05": -1}}, "logit_bias"),
                        ({"best_of": 1, "n": 2}, "best_of"),
                        ({"best_of": 2, "stream": True}, "best_of"), ({"stream_options": {}}, "stream_options"),
                        ({"stream": True, "stream_options": {"x": 1}}, "stream_options"), ({"min_tokens": 99}, "min_tokens"),
                        ({"top_p": 0}, "top_p"), ({"max_tokens": 2, "max_completion_tokens": 3}, "max_completion_tokens"),
                        ({"repetition_penalty": 1.1, "repeat_penalty": 1.2}, "repeat_penalty")):
        refused(server, body, 400, param, "invalid_value")
    for body, param in (({"suffix": "x"}, "suffix"), ({"guided_json": {}}, "guided_json"), ({"use_beam_search": True}, "use_beam_search"),
                        ({"response_format": {"type": "json_object"}}, "response_format"), ({"mirostat": 2}, "mirostat")):
        refused(server, body, 400, param, "unsupported_parameter")
    refused(server, {"model": "other"}, 404, "model", "model_not_found")
    refused(server, {"prompt": [5] * 1025}, 400, "prompt", "context_length_exceeded")
    refused(server, {"prompt": [5] * 1000, "max_tokens": 26, "stream": True}, 400, "max_tokens", "context_length_exceeded")
    check(server.json("/v1/completions", {"prompt": [5] * 1024, "max_tokens": 1})[0] == 200, "a prompt of the context")
    for body in (b"", b"{", b"[]", b'{"prompt":"a","prompt":"b"}', b'{"prompt":"\xff"}', b'{"prompt":"a","x":NaN}',
                 b'{"prompt":"a","top_p":Infinity}', b'{"a":' * 70 + b"1" + b"}" * 70, b'{"prompt":"a"} x', b'{"prompt":"\\ud800"}'):
        status, _, text = server.call("/v1/completions", body)
        check(status == 400 and json.loads(text)["error"]["code"] == "invalid_json", f"{body[:40]}: {status} {text}")
    _, headers, _ = server.call("/v1/completions", {"prompt": "a", "max_tokens": 1, "chat_id": 1, "\u00e4\r\n": 2})
    check(headers["x-moe-ignored"] == "chat_id, ????", f"x-moe-ignored: {headers['x-moe-ignored']}")
    refused(server, {"tokens": [1792]}, 400, "tokens", path="/detokenize", prompt=False)
    refused(server, {}, 400, "prompt", path="/tokenize", prompt=False)
    refused(server, {"prompt": "a", "content": "b"}, 400, "prompt", path="/tokenize", prompt=False)
    nulls = {"stream_options": {"include_usage": None}, "max_tokens": 2, "max_completion_tokens": 2}
    check(server.events("/v1/completions", {"prompt": TEXT, **nulls})[-1]["choices"] != [], "null in stream_options: no usage")


def others(server):
    text = "Where is the horse of Zarthus?\n  é€😀\t<|x|> "
    for path in ("/tokenize", "/v1/tokenize"):
        _, tokens = server.json(path, {"content": text})
        _, back = server.json("/detokenize", {"tokens": tokens["tokens"]})
        check(back == {"prompt": text, "content": text}, f"{path} and back: {back}")
    check(tokens["count"] == len(tokens["tokens"]) and tokens["max_model_len"] == 1024, "count, max_model_len")
    _, pieces = server.json("/tokenize", {"content": "é a", "with_pieces": True})
    joined = b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces["tokens"])
    check(joined == "é a".encode(), "with_pieces")
    _, info = server.json("/tokenizer_info")
    check({"bos_token", "eos_token", "pad_token", "chat_template"} <= set(info), f"tokenizer_info: {info}")
    for path in ("/v1/models", "/models"):
        _, models = server.json(path)
        check([m["id"] for m in models["data"]] == ["nano"] and models["data"][0]["max_model_len"] == 1024, path)
    check(server.json("/v1/models/nano")[1]["id"] == "nano" and server.json("/v1/models/x")[0] == 404, "one model")
    check(server.json("/version")[1]["numerics_version"] >= 2, "version")
    status, headers, page = server.call("/")
    check(status == 200 and headers["Content-Type"].startswith("text/html") and "chat/completions" in page, "the page")
    _, headers, text = server.call("/metrics")
    check(headers["Content-Type"].startswith("text/plain; version=0.0.4"), "type of metrics")
    line = re.compile(r'([a-z_]+\{model_name="nano"(,[a-z_]+="[^"]*")*\}|llamacpp:[a-z_]+) [0-9.e+-]+$')
    bad = [row for row in text.splitlines() if not row.startswith("# ") and not line.match(row)]
    check(not bad, f"metrics: {bad[:3]}")
    for name in ("moe_flops_total", "moe_generation_tokens_total", "moe_time_to_first_token_seconds_count"):
        check(re.search(rf"^{name}\{{model_name=\"nano\"\}} [1-9]", text, re.M), f"metrics have {name}")
    check(re.search(r"^llamacpp:tokens_predicted_total [1-9]", text, re.M), "metrics have llama.cpp's names")


def main():
    program, moe_eval, moe_run, root = sys.argv[1:]
    template = os.path.join(root, "tests/serve/chat.jinja")
    model = os.path.join(root, "models/nano/nano-moe")
    with Server(program, model, "--chat-template", template, "--metrics-alias", "llamacpp") as server:
        for part, more in ((equal_to_moe_eval, (moe_eval, root)), (logprob_lists, ()), (streams, ()),
                           (replies, (moe_run, root)), (chats, ()), (errors, ()), (others, ())):
            started = time.monotonic()
            part(server, *more)
            print(f"{part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
        check(server.stop() == 0, "exit status 0")
    with Server(program, model, "--max-sequences", "2") as server:
        check(len(complete(server, **DRAWN, n=2)["choices"]) == 2, "as many replies as may run")
        refused(server, {**DRAWN, "n": 3}, 400, "n")
        refused(server, {**DRAWN, "n": 1, "best_of": 3}, 400, "best_of")
    broken = os.path.join(tempfile.mkdtemp(), "broken.jinja")
    with open(broken, "w", encoding="utf-8") as file:
        file.write("{% for x in %}")
    for wrong, why in ((("--chat-template", "nothing"), "no chat template 'nothing'"), (("--chat-template", broken), "template"),
                       (("--host", ""), "host"), (("--alias", ""), "name")):
        refusal = subprocess.run([program, "--model", model, "--port", "0", *wrong], capture_output=True, text=True, timeout=20)
        check(refusal.returncode == 1 and why in refusal.stderr and not refusal.stdout, f"{wrong}: {refusal}")
    shutil.rmtree(os.path.dirname(broken))
    with Server(program, model, "--strict", "--any-model-name") as server:
        refused(server, {"chat_id": 1}, 400, "chat_id", "unsupported_parameter")
        check(complete(server, model="what", max_tokens=1)["model"] == "what", "--any-model-name")
        status, answer = server.json("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]})
        check(status == 400 and "no chat template" in answer["error"]["message"], f"no template: {answer}")
    finish()


if __name__ == "__main__":
    main()
