#!/usr/bin/env python3
"""clients.py MOE_SERVE ROOT: what clients of the OpenAI API send, and whether they understand the answers.

Open WebUI by the bodies of its requests; llama-index-llms-openai-like, litellm and llm by themselves where this Python
has them:

    python3 -m venv /tmp/client && /tmp/client/bin/pip install llama-index-llms-openai-like
    /tmp/client/bin/python tests/serve/clients.py build/release/bin/moe-serve .

What is not installed is named. openai-python: openai_client.py; lm-eval: lm_eval/compare.py.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile

from serving import Server, check, finish

QUESTION = "In which month was Verta Palthus born?"
# Its environment must not lead a client elsewhere; litellm would fetch a table of prices when it is imported.
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
    os.environ.pop(name, None)
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


def url_of(server):
    return f"http://127.0.0.1:{server.port}/v1"


def reply_to(server, content, limit=12, **more):
    """What every client must have got."""
    _, answer = server.json("/v1/chat/completions", {"messages": [{"role": "user", "content": content}], "temperature": 0,
                                                     "max_tokens": limit, **more})
    return answer["choices"][0]["message"]["content"]


def open_webui(server):
    """Its turn: the names of models, a streamed reply, then title, tags and further questions at once."""
    key = {"Authorization": "Bearer sk-none", "X-OpenWebUI-User-Name": "a", "X-OpenWebUI-User-Id": "1"}
    status, models = server.json("/v1/models", headers=key)
    check(status == 200 and models["object"] == "list" and models["data"][0]["id"] == "nano", "Open WebUI: models")
    turn = {"model": "nano", "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": QUESTION}],
            "stream_options": {"include_usage": True}, "temperature": 0, "max_tokens": 12}
    events = server.events("/v1/chat/completions", turn)
    text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
    check(text and events[-1]["choices"] == [] and events[-1]["usage"]["completion_tokens"] == 12, "Open WebUI: a turn")
    # Behind a proxy or a pipe its own fields come along.
    own = {"chat_id": "c1", "id": "m1", "session_id": "s1", "features": {"web_search": False}, "variables": {}, "model_item": {},
           "background_tasks": {"title_generation": True}, "tool_servers": [], "params": {}}
    status, headers, _ = server.call("/v1/chat/completions", {**turn, **own, "stream": True})
    check(status == 200 and set(headers["x-moe-ignored"].split(", ")) == set(own), f"Open WebUI: its fields: {headers}")
    for task, more in (("title", {"max_completion_tokens": 300}), ("tags", {}), ("follow-ups", {})):
        body = {"model": "nano", "messages": [{"role": "user", "content": f"### Task:\nGive {task}.\n{QUESTION}{text}"}],
                "stream": False, "metadata": {"task": task, "chat_id": "c1"}, "stop": ["\n\n"], **more}
        status, answer = server.json("/v1/chat/completions", body, headers=key)
        check(status == 200 and isinstance(answer["choices"][0]["message"]["content"], str), f"Open WebUI: {task}: {answer}")


def llama_index(server):
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike
    shared = dict(model="nano", api_base=url_of(server), api_key="-", temperature=0, max_tokens=12, max_retries=0)
    chat = OpenAILike(is_chat_model=True, **shared)
    expected = reply_to(server, QUESTION)
    check(chat.chat([ChatMessage(role="user", content=QUESTION)]).message.content == expected, "llama-index: chat")
    parts = [part.delta for part in chat.stream_chat([ChatMessage(role="user", content=QUESTION)])]
    check("".join(part or "" for part in parts) == expected, f"llama-index: stream_chat {parts}")
    check(chat.complete(QUESTION).text == expected, "llama-index: complete by a conversation")
    text = OpenAILike(is_chat_model=False, **shared)
    _, answer = server.json("/v1/completions", {"prompt": QUESTION, "temperature": 0, "max_tokens": 12})
    check(text.complete(QUESTION).text == answer["choices"][0]["text"], "llama-index: complete")
    last = list(text.stream_complete(QUESTION))[-1]
    check(last.text == answer["choices"][0]["text"], "llama-index: stream_complete")


def litellm(server):
    import litellm as client
    shared = dict(model="openai/nano", api_base=url_of(server), api_key="-", temperature=0, max_tokens=12, num_retries=0,
                  messages=[{"role": "user", "content": QUESTION}])
    expected = reply_to(server, QUESTION)
    check(client.completion(**shared).choices[0].message.content == expected, "litellm: completion")
    parts = [part.choices[0].delta.content or "" for part in client.completion(stream=True, **shared)]
    check("".join(parts) == expected, f"litellm: a stream {parts}")
    _, answer = server.json("/v1/completions", {"prompt": QUESTION, "temperature": 0, "max_tokens": 12})
    text = client.text_completion(model="text-completion-openai/nano", prompt=QUESTION, api_base=url_of(server), api_key="-",
                                  temperature=0, max_tokens=12)
    check(text.choices[0].text == answer["choices"][0]["text"], "litellm: text_completion")
    for change, kind in (({"messages": [{"role": "user", "content": QUESTION * 400}]}, client.ContextWindowExceededError),
                         ({"model": "openai/other"}, client.NotFoundError), ({"top_p": 3}, client.BadRequestError)):
        try:
            client.completion(**{**shared, **change})
            check(False, f"litellm: {change} is refused")
        except client.exceptions.APIError as error:
            check(False, f"litellm: {kind.__name__} expected, found {error!r}")
        except Exception as error:
            check(isinstance(error, kind), f"litellm: {kind.__name__} expected, found {error!r}")


def llm(server):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "extra-openai-models.yaml"), "w", encoding="utf-8") as file:
            file.write(f"- model_id: nano\n  model_name: nano\n  api_base: {url_of(server)}\n")
        command = [sys.executable, "-m", "llm", "-m", "nano", "-o", "temperature", "0", "-o", "max_tokens", "12"]
        for more in ([], ["--no-stream"]):
            out = subprocess.run([*command, *more, QUESTION], capture_output=True, text=True, check=False, timeout=120,
                                 env={**os.environ, "LLM_USER_PATH": folder, "OPENAI_API_KEY": "-"})
            check(out.returncode == 0 and out.stdout.strip() == reply_to(server, QUESTION).strip(), f"llm {more}: {out}")


def main():
    program, root = sys.argv[1:]
    with Server(program, os.path.join(root, "models/nano/nano-moe"), "--chat-template",
                os.path.join(root, "tests/serve/chat.jinja")) as server:
        open_webui(server)
        for module, run in (("llama_index.llms.openai_like", llama_index), ("litellm", litellm), ("llm", llm)):
            try:
                found = importlib.util.find_spec(module) is not None
            except ModuleNotFoundError:
                found = False
            if found:
                run(server)
                print("ran:", module)
            else:
                print(f"SKIPPED {module}: it is not installed for {sys.executable}")
    finish()


if __name__ == "__main__":
    main()
