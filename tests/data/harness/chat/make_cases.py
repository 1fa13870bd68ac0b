#!/usr/bin/env python3
"""The tasks of ../make_cases.py through chat templates: writes cases.json beside this file.

    pip install lm-eval==0.4.13 transformers==5.24.0
    python tests/data/harness/chat/make_cases.py

The harness builds the conversations and counts; transformers writes the prompts with the tokenizer of
../../golden/qwen3_moe, as HFLM.apply_chat_template does: a template that raises is asked again without system messages.
"""
import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import jinja2
import make_cases as base
from lm_eval import simple_evaluate
from lm_eval.api.task import ConfigurableTask
from transformers import AutoTokenizer

TOKENIZER = HERE.parents[1] / "golden" / "qwen3_moe"
TEMPLATES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
              "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "trimming": "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
                "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}{{ mood }}"
                "{{ '[assistant]' if add_generation_prompt }}"}
# task, shots, system, template, multiturn, variables
CASES = [("letters", base.LETTERS, 0, None, "chatml", True, {}), ("letters", base.LETTERS, 2, base.SYSTEM, "chatml", False, {}),
         ("letters", base.LETTERS, 3, base.SYSTEM, "trimming", True, {}),
         ("endings", base.ENDINGS, 2, " ", "chatml", True, {}), ("endings", base.ENDINGS, 0, None, "trimming", False, {"mood": "!"}),
         ("prefixed", base.PREFIXED, 0, None, "chatml", True, {}), ("prefixed", base.PREFIXED, 2, base.SYSTEM, "chatml", False, {}),
         ("prefixed", base.PREFIXED, 2, base.SYSTEM + "\n", "trimming", True, {}),
         ("cloze", base.CLOZE, 3, None, "chatml", True, {}), ("cloze", base.CLOZE, 2, base.SYSTEM, "chatml", False, {}),
         ("texts", base.TEXTS, 0, None, "chatml", True, {}),
         ("written", base.WRITTEN, 0, base.SYSTEM, "chatml", True, {}), ("written", base.WRITTEN, 2, None, "trimming", False, {})]


class ChatFake(base.Fake):
    def __init__(self, template, variables):
        super().__init__()
        self.tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
        self.tokenizer.chat_template = template
        self.variables = variables

    @property
    def tokenizer_name(self):
        return "qwen3_moe"

    def chat_template(self, name=False):
        return self.tokenizer.chat_template

    def apply_chat_template(self, history, add_generation_prompt=True):
        def write(messages):
            return self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt, **self.variables)
        try:
            return write(history)
        except jinja2.exceptions.TemplateError:
            return write([m for m in history if m["role"] != "system"])


def ask(name, config, shots, system, template, multiturn, variables):
    task_file = json.loads((HERE.parent / f"{name}.json").read_text())
    lines = [json.loads(line) for line in (HERE.parent / task_file["questions"]).read_text().splitlines()]
    files = {}
    for split in ("test", "dev"):
        part = [line for line in lines if line.get("split", "test") == split]
        if part:
            path = HERE / f".{split}.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in part))
            files[split] = str(path)
    task = ConfigurableTask(config={"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files},
                                    "metadata": {"version": 1.0}} | config)
    out = simple_evaluate(ChatFake(TEMPLATES[template], variables), tasks=[task], num_fewshot=shots,
                          system_instruction=system, bootstrap_iters=1000, cache_requests=False,
                          apply_chat_template=True, fewshot_as_multiturn=multiturn)
    for path in files.values():
        pathlib.Path(path).unlink()
    samples = [{"filter": s["filter"], "metrics": {m: s[m] if isinstance(s[m], (int, float)) else None for m in s["metrics"]},
                "arguments": [[a if isinstance(a, str) else a["until"] for a in arg] for arg in s["arguments"]]}
               for s in out["samples"][name]]
    return {"task": f"{name}.json", "num_fewshot": shots, "system_instruction": system or "", "template": template,
            "multiturn": multiturn, "variables": variables,
            "chat_template_sha": hashlib.sha256(TEMPLATES[template].encode()).hexdigest(),
            "results": {k: v for k, v in out["results"][name].items() if "," in k}, "samples": samples}


def main():
    cases = [ask(*case) for case in CASES]
    whole = {"templates": TEMPLATES, "replies": base.REPLIES, "cases": cases}
    (HERE / "cases.json").write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
