#!/usr/bin/env python3
"""llama.cpp's own tests of its server, run against moe-serve: a pytest plugin, and the command that runs it.

    tar xzf llama_cpp_python-0.3.36.tar.gz -C /tmp/a6      # the sdist on PyPI, outside this tree
    python3 -m venv /tmp/a6/venv
    /tmp/a6/venv/bin/pip install pytest filelock openai==2.14.0 requests wget
    export MOE_LLAMA_CPP_TESTS=/tmp/a6/llama_cpp_python-0.3.36/vendor/llama.cpp/tools/server/tests
    /tmp/a6/venv/bin/python tests/serve/llama_cpp_suite.py build/release/bin/moe-serve . [PYTEST ARGUMENT...]

ctest's serve_llama_cpp does the same with the Python that MOE_LLAMA_CPP_PYTHON names. The model is nano-moe, or what
MOE_SERVE_MODEL names. llama_cpp.list names the tests, and those that are left out with the reason. The plugin changes
what is about their model or their own protocol:

* presets are not downloaded, and texts that their model would write are not compared;
* the requests of POST /completion and /completions become /v1/completions and the answers theirs, and a request has
  the temperature, seed and limit that their server's options name;
* "__verbose" comes from /apply-template, which is where moe-serve shows a prompt;
* a conversation that ends with a message of the assistant asks to have it continued, which llama-server guesses.

It asks for more than they do in three places: test_cache_vs_nocache_prompt, which they skip as failing, is run, and
what they hold only at temperature 0 and without a cache (test_consistent_result_*) runs at temperature 1 with it too.
"""

import importlib
import os
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NEEDS = ("pytest", "filelock", "openai", "requests", "wget")
NATIVE = ("/completion", "/completions")
RUN_ANYWAY = "test_cache_vs_nocache_prompt"
ALSO_HOT = ("test_consistent_result_same_seed", "test_consistent_result_different_batch_size")

changed_fields = {}


# Requests and answers.

def ids_of_text(ask, text, special):
    return ask("POST", "/tokenize", {"content": text, "add_special": special}).body["tokens"]


def one_prompt(ask, prompt):
    """A text or ids: {"prompt_string": text} is a text, a list with ids and texts their ids in succession."""
    if isinstance(prompt, dict):
        return prompt["prompt_string"]
    if isinstance(prompt, list) and any(isinstance(part, str) for part in prompt):
        parts = [ids_of_text(ask, p, False) if isinstance(p, str) else [p] for p in prompt]
        return [token for part in parts for token in part]
    return prompt


def is_many(prompt):
    """Several prompts, where a list with a number in it is one."""
    return isinstance(prompt, list) and not any(isinstance(part, int) for part in prompt)


def bias_by_id(ask, bias):
    pairs = bias.items() if isinstance(bias, dict) else bias
    by_id = {}
    for what, value in pairs:
        ids = [what] if not isinstance(what, str) or what.lstrip("-").isdigit() else ids_of_text(ask, what, False)
        by_id.update({str(token): value for token in ids})
    return by_id


def request_of(server, ask, data):
    """Their request as one of /v1/completions."""
    out = {name: value for name, value in data.items() if name not in ("n_predict", "return_tokens")}
    limits = [limit for limit in (data.get("n_predict"), server.n_predict) if limit is not None and limit >= 0]
    if limits:
        out["max_tokens"] = min(limits)
    out.setdefault("temperature", server.temperature)
    out.setdefault("seed", server.seed)
    prompt = data.get("prompt")
    out["prompt"] = [one_prompt(ask, p) for p in prompt] if is_many(prompt) else one_prompt(ask, prompt)
    if "logit_bias" in data:
        out["logit_bias"] = bias_by_id(ask, data["logit_bias"])
    out.update(changed_fields)
    return out


def answer_of(body, many):
    """Theirs, of an answer of /v1/completions."""
    usage = body["usage"]
    choices = sorted(body["choices"], key=lambda choice: choice["index"])
    answers = [{"content": choice["text"], "stop": True, "truncated": False} for choice in choices]
    if many:
        return answers
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    answers[0]["timings"] = {"prompt_n": usage["prompt_tokens"] - cached, "cache_n": cached,
                             "predicted_n": usage["completion_tokens"]}
    return answers[0]


def conversation_of(data):
    messages = data.get("messages")
    ends_open = isinstance(messages, list) and messages and isinstance(messages[-1], dict) \
        and messages[-1].get("role") == "assistant"
    if not ends_open or "continue_final_message" in data or "add_generation_prompt" in data:
        return data
    return {**data, "continue_final_message": True}


def event_of(event):
    choice = event["choices"][0]
    return {"content": choice["text"], "stop": choice["finish_reason"] is not None}


def teach(process):
    """ServerProcess asks moe-serve."""
    request, stream = process.make_request, process.make_stream_request

    def make_request(self, method, path, data=None, headers=None, **more):
        if method == "POST" and path in NATIVE and data:
            ask = lambda *of: request(self, *of, headers)
            out = request(self, method, "/v1/completions", request_of(self, ask, data), headers, **more)
            if out.status_code == 200:
                out.body = answer_of(out.body, is_many(data["prompt"]))
            return out
        if method == "POST" and path.endswith("/chat/completions") and data:
            data = conversation_of(data)
        out = request(self, method, path, data, headers, **more)
        if self.debug and path.endswith("/chat/completions") and out.status_code == 200:
            out.body["__verbose"] = request(self, method, "/apply-template", data, headers).body
        return out

    def make_stream_request(self, method, path, data=None, headers=None, **more):
        if path not in NATIVE:
            yield from stream(self, method, path, data, headers, **more)
            return
        ask = lambda *of: request(self, *of, headers)
        for event in stream(self, method, "/v1/completions", request_of(self, ask, data), headers, **more):
            yield event_of(event)

    process.make_request, process.make_stream_request = make_request, make_stream_request


# Hooks.

def pytest_configure(config):
    sys.path.insert(0, os.environ["MOE_LLAMA_CPP_TESTS"])
    utils = importlib.import_module("utils")
    utils.ServerPreset.load_all = staticmethod(lambda: None)
    utils.match_regex = lambda regex, text: True
    teach(utils.ServerProcess)


def pytest_generate_tests(metafunc):
    if metafunc.function.__name__ in ALSO_HOT:
        hot = {"temperature": 1.0, "cache_prompt": True}
        metafunc.parametrize("fields_changed", [{}, hot], ids=["as-written", "hot"], indirect=True)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == RUN_ANYWAY:
            item.own_markers = [marker for marker in item.own_markers if marker.name != "skip"]


if "pytest" in sys.modules:
    import pytest

    @pytest.fixture(autouse=True)
    def fields_changed(request):
        changed_fields.update(getattr(request, "param", {}))
        yield
        changed_fields.clear()


# The command.

def listed():
    with open(os.path.join(HERE, "llama_cpp.list"), encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    return ["unit/" + line for line in lines if line]


def why_not(folder, python):
    """Why the tests cannot run here; empty when they can."""
    if not folder:
        return "MOE_LLAMA_CPP_TESTS does not name their folder, tools/server/tests of llama.cpp"
    if not os.path.exists(os.path.join(folder, "utils.py")):
        return f"MOE_LLAMA_CPP_TESTS is {folder}, which has no utils.py"
    tried = subprocess.run([python, "-c", "import " + ", ".join(NEEDS)], capture_output=True, text=True, check=False)
    return f"{python}: {tried.stderr.splitlines()[-1]}" if tried.returncode else ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    program, root, *more = sys.argv[1:]
    folder = os.environ.get("MOE_LLAMA_CPP_TESTS", "")
    python = os.environ.get("MOE_LLAMA_CPP_PYTHON", sys.executable)
    if reason := why_not(folder, python):
        print("SKIPPED llama.cpp's tests of its server:", reason)
        return 0
    environment = {**os.environ, "PYTHONPATH": HERE, "PYTHONDONTWRITEBYTECODE": "1", "PORT": str(free_port()),
                   "LLAMA_SERVER_BIN_PATH": os.path.join(HERE, "as_llama_server"), "MOE_SERVE": os.path.abspath(program)}
    environment.setdefault("MOE_SERVE_MODEL", os.path.abspath(os.path.join(root, "models/nano/nano-moe")))
    command = [python, "-m", "pytest", "-q", "-p", "llama_cpp_suite", "-p", "no:cacheprovider"]
    tests = [] if any(not argument.startswith("-") for argument in more) else listed()
    return subprocess.run([*command, *more, *tests], cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
