"""Text to token ids and back."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from . import _chat, _check, _libmoe
from ._types import Ids, Message


class Tokenizer:
    """A model's tokenizer: ``model.tokenizer``. Any number of threads may use it at once."""

    def __init__(self, model: _libmoe.LoadedModel) -> None:
        self._native = _libmoe.ModelTokenizer(model)

    def encode(self, text: str, *, add_special_tokens: bool = True, parse_special: bool = True) -> list[int]:
        """Token ids of a text.

        ``add_special_tokens``: put BOS and EOS around it where the model asks for them. ``parse_special``: a text that
        spells a special token, "<|im_end|>", becomes that token.
        Errors: ArgumentError when the text holds a token for which the model has no row.
        """
        return self._native.encode(
            _check.text("text", text),
            _check.flag("add_special_tokens", add_special_tokens),
            _check.flag("parse_special", parse_special),
        )

    def decode(self, ids: Ids, *, skip_special_tokens: bool = False) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD. Errors: ArgumentError naming an id out of range."""
        return self._native.decode(ids, _check.flag("skip_special_tokens", skip_special_tokens))

    def decode_bytes(self, ids: Ids, *, skip_special_tokens: bool = False) -> bytes:
        """The bytes of ids, unchanged: a token may be a part of a character."""
        return self._native.decode_bytes(ids, _check.flag("skip_special_tokens", skip_special_tokens))

    def token_bytes(self, id: int) -> bytes:
        """The bytes that this id adds to a text. Errors: ArgumentError."""
        return self._native.token_bytes(_check.integer("id", id, most=self.vocab_size - 1))

    def find(self, token: str) -> int | None:
        """The id of the token with this text: "<|im_end|>"; None where there is none."""
        return self._native.find(_check.text("token", token))

    @overload
    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        tokenize: Literal[True] = True,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        chat_template: str | None = None,
        date: str | None = None,
        **variables: object,
    ) -> list[int]: ...

    @overload
    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        tokenize: Literal[False],
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        chat_template: str | None = None,
        date: str | None = None,
        **variables: object,
    ) -> str: ...

    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        chat_template: str | None = None,
        date: str | None = None,
        **variables: object,
    ) -> list[int] | str:
        """The conversation as the model was trained on it; names and defaults are those of transformers.

        Ids, or with ``tokenize=False`` the text. A control token that is spelled in a message is encoded as plain
        text: only the template writes control tokens. ``chat_template``: a template's name or a Jinja text.
        ``variables``: further variables of the template.
        Errors: Error 'not_found' without a template; ArgumentError when the template refuses the conversation.
        """
        request = _chat.request(
            messages,
            end=_chat.end_of(add_generation_prompt, continue_final_message),
            tools=tools,
            documents=documents,
            chat_template=chat_template,
            template_variables=variables,
            date=date,
        )
        text, ids = self._native.render(request)
        return ids if _check.flag("tokenize", tokenize) else text

    def is_control(self, id: int) -> bool:
        """Whether ``skip_special_tokens`` leaves this id out."""
        return self._native.is_control(_check.integer("id", id, most=self.vocab_size - 1))

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to below this."""
        return self._native.vocab_size

    @property
    def bos_token_id(self) -> int | None:
        return self._native.bos

    @property
    def eos_token_id(self) -> int | None:
        return self._native.eos

    @property
    def stop_ids(self) -> list[int]:
        """Every id that ends a reply, rising."""
        return self._native.stop_ids

    @property
    def adds_bos(self) -> bool:
        """Whether encode() puts BOS in front of a text."""
        return self._native.adds_bos

    @property
    def chat_templates(self) -> dict[str, str]:
        """Jinja texts by name; "default" is the usual one."""
        return self._native.chat_templates

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"Tokenizer(vocab_size={self.vocab_size}, bos_token_id={self.bos_token_id}, stop_ids={self.stop_ids})"
