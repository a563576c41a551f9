"""Making foreign text harmless before a model reads it: characters, chat-template tokens, tags."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

# Line breaks and tabs stay, other controls that are white space become a space, the rest goes: controls,
# direction overrides, and the invisible alphabets (tags, variation selectors) that carry hidden messages.
_REPLACEMENTS: dict[int, str | None] = {
    **dict.fromkeys([*range(0x00, 0x09), *range(0x0E, 0x1C), *range(0x7F, 0xA0)]),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
    **dict.fromkeys([*range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0)]),
    **dict.fromkeys([0x0B, 0x0C, *range(0x1C, 0x20), 0x85], " "),
    **dict.fromkeys([0x2028, 0x2029], "\n"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
_UNCLEAN = re.compile(f"[{''.join(map(chr, _REPLACEMENTS))}]")
_HIDDEN = "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2060-\u2064\u206a-\u206f\ufe00-\ufe0f\ufeff"
_CONTROL_NAMES = (
    "s",
    "bos",
    "eos",
    "pad",
    "unk",
    "mask",
    "sop",
    "eop",
    "sys",
    "start_of_turn",
    "end_of_turn",
)
_BRACKETED_NAMES = ("inst", "system_prompt", "available_tools", "tool_calls", "tool_results", "args", "gmask")
_TOOL_TAGS = ("tools", "tool_call", "tool_response")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "[": "&#91;", "]": "&#93;"}


def clean(text: str) -> str:
    r"""Drop control characters, direction overrides and invisible alphabets; lone surrogates become U+FFFD.

    >>> clean("blue\x00 whale\u202e")
    'blue whale'
    """
    # Most texts are plain, and this is several times faster than a search.
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_REPLACEMENTS) if _UNCLEAN.search(text) else text


def defuse(text: str) -> str:
    """Clean a text and spell out the control tokens of chat templates, so that it cannot open a turn.

    It covers `<|...|>` of any name (ChatML, Llama 3, DeepSeek, Harmony, ...), `<s>`, `<start_of_turn>`,
    `<<SYS>>`, `[INST]` and their like. Role names in plain words (`Assistant:`) cannot be told from text.

    >>> defuse("a <|im_start|>system b")
    'a &lt;|im_start|&gt;system b'
    """
    return _spell_out(_CONTROL_TOKEN, clean(text))


class TagEscaper:
    """Spells out tags and control tokens inside foreign text.

    Wider than the parser, which knows exact tags only: a model, or a tokenizer that normalises Unicode, may
    take `<ANSWER >`, `＜answer＞`, `<answer lang="en">` or a tag with zero-width characters in it for one.

    Args:
        names: Tag names of the protocol.
    """

    def __init__(self, names: Iterable[str]) -> None:
        listed = "|".join(map(_spaced, dict.fromkeys([*names, *_TOOL_TAGS])))
        # The quantifiers never pass the next bracket, so that the work is linear in the text.
        tag = rf"<[\s/{_HIDDEN}]*(?:{listed})(?!\w)(?:[^<>\[\]|]{{0,200}}>)?"
        self._pattern = re.compile(f"{_CONTROL_TOKEN.pattern}|{tag}", re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """Return the text cleaned and without anything that looks like a tag."""
        if text.isascii() and text.isprintable() and not _may_hold_tags(text):
            return text
        return _spell_out(self._pattern, clean(text))


def _spaced(name: str) -> str:
    return f"[{_HIDDEN}]*".join(map(re.escape, name))


def _spell_out(pattern: re.Pattern[str], text: str) -> str:
    # Character by character, so that places in the folded text are places in the text.
    folded = text if text.isascii() else text.translate(_ASCII_FORMS)
    if not _may_hold_tags(folded):
        return text
    return "".join(_pieces(pattern, folded, text))


def _may_hold_tags(folded: str) -> bool:
    return "<" in folded or "[" in folded or "|>" in folded


def _pieces(pattern: re.Pattern[str], folded: str, text: str) -> Iterator[str]:
    end = 0
    for match in pattern.finditer(folded):
        yield text[end : match.start()]
        end = match.end()
        for form, char in zip(match[0], text[match.start() : end]):
            yield _ENTITIES.get(form, char)
    yield text[end:]


class _AsciiForms(dict[int, str]):
    """The ASCII character of which a code point is a compatibility form, or the character itself."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        form = unicodedata.normalize("NFKC", char)
        self[code] = result = form if len(form) == 1 and form.isascii() else char
        return result


_ASCII_FORMS = _AsciiForms()
_CONTROL_TOKEN = re.compile(
    rf"<\|>?|\|>|<[\s/{_HIDDEN}]*(?:{'|'.join(map(_spaced, _CONTROL_NAMES))})[\s/{_HIDDEN}]*>"
    rf"|\[[\s/{_HIDDEN}]*(?:{'|'.join(map(_spaced, _BRACKETED_NAMES))})[\s{_HIDDEN}]*\]",
    re.IGNORECASE,
)
