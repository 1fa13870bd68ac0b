"""libmoe as a model of lm-evaluation-harness (0.4.13 or later, not installed with libmoe).

    python -m libmoe.lm_eval run --model libmoe --model_args pretrained=model.gguf --tasks arc_easy

is lm-eval's own command line with the model type "libmoe" in it. The answers are moe-eval's to the bit: prompts go to
the same code, which shares what they have in common.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import normalize_gen_kwargs
from tqdm import tqdm

from .. import _libmoe
from .._errors import Error
from .._model import Model

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_log = logging.getLogger("libmoe")
_T = TypeVar("_T")

# Arguments of other models of the harness that can be ignored here.
_GREEDY = {"do_sample": False, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "num_beams": 1}


def _flag(name: str, value: object) -> bool:
    """A flag of --model_args, which may come as a text."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{name} is {value!r}, expected True or False")


def _top_k(value: int | str | None) -> int | list[int] | None:
    """"4", or "4+4+3" with a number for each MoE layer: a comma ends an argument."""
    return [int(k) for k in value.split("+")] if isinstance(value, str) else value


@register_model("libmoe")
class MoeLM(LM):  # type: ignore[misc]
    """Arguments, as --model_args has them:

    pretrained      a .gguf file or a Hugging Face directory
    max_length      tokens that the model sees at most (the model's own)
    max_gen_toks    of a reply, unless the task says (256)
    threads, precision, kv, top_k, expert_mass    as of libmoe.Model
    think_end_token    a reply begins after the last of these texts
    enable_thinking    a variable of the chat template
    chat_template_args    further variables, a dict

    ``batch_size`` is ignored: answers do not depend on it. ``device`` is cpu.
    """

    def __init__(
        self,
        pretrained: str,
        *,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        threads: int = 0,
        precision: Any = "auto",
        kv: Any = None,
        top_k: int | str | None = None,
        expert_mass: float | None = None,
        think_end_token: str | None = None,
        enable_thinking: bool | None = None,
        chat_template_args: Mapping[str, Any] | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__()
        # The default of the harness's command line is cuda:0.
        if device not in (None, "", "cpu", "cuda:0"):
            raise ValueError(f"device is {device!r}, expected cpu: libmoe computes on processors")
        if batch_size not in (None, 1, "1") or max_batch_size is not None:
            _log.info("batch_size is ignored: libmoe forms its own batches, and answers do not depend on them")
        self._model = Model(
            pretrained,
            threads,
            precision=precision,
            kv=kv,
            top_k=_top_k(top_k),
            expert_mass=expert_mass,
            content_hash=True,
        )
        self._harness = _libmoe.Harness(self._model._native, max_length or 0)
        self._max_gen_toks = max_gen_toks
        self._think_end = "" if think_end_token is None else str(think_end_token)
        self._variables: dict[str, Any] = dict(chat_template_args or {})
        if enable_thinking is not None:
            self._variables["enable_thinking"] = _flag("enable_thinking", enable_thinking)

    # -- requests ----------------------------------------------------------------------------------------------------

    def loglikelihood(self, requests: "list[Instance]", disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-likelihood, is_greedy) of each (context, continuation)."""
        pairs = [(str(context), str(continuation)) for context, continuation in (r.args for r in requests)]
        scores = self._with_progress(
            lambda progress: self._harness.score(pairs, progress), "loglikelihood requests", len(pairs), disable_tqdm
        )
        self._tell(scores)
        answers = [(_number(s), s.is_greedy) for s in scores]
        self._keep("loglikelihood", requests, answers)
        return answers

    def loglikelihood_rolling(self, requests: "list[Instance]", disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each text as a whole, after BOS (else EOS), in windows of the model's length."""
        texts = [str(r.args[0]) for r in requests]
        scores = self._with_progress(
            lambda progress: self._harness.score_texts(texts, progress), "rolling requests", len(texts), disable_tqdm
        )
        self._tell(scores)
        answers = [_number(s) for s in scores]
        self._keep("loglikelihood_rolling", requests, answers)
        return answers

    def generate_until(self, requests: "list[Instance]", disable_tqdm: bool = False) -> list[str]:
        """Greedy replies, up to the first of the stop texts."""
        asked = [self._generation(str(context), keywords) for context, keywords in (r.args for r in requests)]
        replies = self._with_progress(
            lambda progress: self._harness.generate(asked, self._think_end, progress),
            "generate_until requests",
            len(asked),
            disable_tqdm,
        )
        self._tell(replies)
        answers = [r.text for r in replies]
        self._keep("generate_until", requests, answers)
        return answers

    def _generation(self, context: str, keywords: Mapping[str, Any]) -> tuple[str, list[str], int]:
        given: dict[str, Any] = dict(normalize_gen_kwargs(dict(keywords), self._max_gen_toks))
        stop = [str(text) for text in given.pop("until", [])]
        max_tokens = int(given.pop("max_gen_toks"))
        for name, value in given.items():
            if name not in _GREEDY or value != _GREEDY[name]:
                raise ValueError(
                    f"generate_until: {name} is {value!r}, but libmoe writes replies of the harness greedily, "
                    "as moe-eval does"
                )
        return context, stop, max_tokens

    @staticmethod
    def _with_progress(
        work: Callable[[Callable[[int, int], object]], list[_T]], what: str, total: int, disable: bool
    ) -> list[_T]:
        with tqdm(total=total, desc=f"Running {what}", disable=disable) as bar:
            return work(lambda done, _: bar.update(done - bar.n))

    @staticmethod
    def _tell(answers: Sequence[_libmoe.HarnessScore] | Sequence[_libmoe.HarnessReply]) -> None:
        truncated = sum(a.truncated for a in answers)
        if truncated:
            _log.warning("%d contexts were cut from the left to fit the model", truncated)
        for failure in sorted({a.failure for a in answers} - {""}):
            count = sum(a.failure == failure for a in answers)
            _log.warning("%d of %d requests have no answer: %s", count, len(answers), failure)

    def _keep(self, kind: str, requests: "list[Instance]", answers: Sequence[object]) -> None:
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial(kind, request.args, answer)

    # -- chat templates ----------------------------------------------------------------------------------------------

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as text; once more without its system message where the template refuses it."""
        try:
            return self._rendered(chat_history, add_generation_prompt)
        except Error as error:
            without = [message for message in chat_history if message["role"] != "system"]
            if error.code != "bad_argument" or len(without) == len(chat_history):
                raise
            _log.warning("the chat template refuses the conversation; it is written without its system message")
            return self._rendered(without, add_generation_prompt)

    def _rendered(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        return self._model.tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            **self._variables,
        )

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The text that the harness reports: of the template with that name, else of the usual one."""
        if chat_template is False or chat_template is None:
            return ""
        templates = self._model.tokenizer.chat_templates
        if isinstance(chat_template, str) and len(templates) > 1:
            if chat_template not in templates:
                raise ValueError(f"chat template {chat_template!r}, expected one of {', '.join(templates)}")
            return templates[chat_template]
        return templates.get("default", "")

    @property
    def tokenizer_name(self) -> str:
        """Names what shapes the prompts: the model's path and a digest of its templates."""
        templates = repr(sorted(self._model.tokenizer.chat_templates.items()))
        digest = hashlib.sha256(templates.encode()).hexdigest()[:16]
        return f"{self._model.path.replace('/', '__')}-{digest}"

    # -- what result files name --------------------------------------------------------------------------------------

    def get_model_info(self) -> dict[str, Any]:
        """For the harness's results file."""
        info = self._model.info
        return {
            "model_num_parameters": info.total_parameters,
            "model_dtype": info.format_summary,
            "model_revision": "",
            "model_sha": self._model.content_hash,
        }

    @property
    def max_length(self) -> int:
        """Tokens that the model sees at most."""
        return self._harness.max_length

    @property
    def max_gen_toks(self) -> int:
        return self._max_gen_toks


def _number(score: _libmoe.HarnessScore) -> float:
    """A request without an answer counts as the worst one: NaN would win every maximum."""
    return -math.inf if score.failure else score.log_likelihood


def main() -> None:
    """lm-eval's command line."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
