"""Whether a question points at the passages that only its reader was given, by phrases of some languages."""

from __future__ import annotations

import re

from ssp_env.scoring.words import fold, join_unspaced

_BETWEEN_WORDS = re.compile(r"[\W_]+")
_DOCUMENTS = r"(?:documents?|passages?|contexts?|excerpts?|snippets?|search\ results?)"
_WRITTEN = (
    rf"(?:{_DOCUMENTS} | texts? | articles? | paragraphs? | pages? | sheets? | papers? | notes? | lines?)"
)
_HANDED = r"(?:given|shown|provided|presented|supplied|listed|retrieved)"
_BEFORE_YOU = r"(?:in\ front\ of | before | given\ to | shown\ to | handed\ to)\ (?:you|the\ reader)"
_ENGLISH = re.compile(
    rf"""\b(?:
        (?:{_DOCUMENTS} | texts?) (?:\ (?:are|is|were|was|that|which|you|have|been))* \ (?:
            above | below | see | read | {_HANDED} \b (?!\ (?:by|in|at|as)\b)
        )
        | (?:above|following|preceding|foregoing|aforementioned|{_HANDED}) \ (?:{_DOCUMENTS} | texts?)
        | (?:these|those|your|this|all|any|every|each) \ (?:the\ |of\ |your\ |\d+\ )* {_DOCUMENTS}
        | (?:according\ to|based\ (?:up)?on|from|in|of|among|across|throughout|by)
            \ (?:the|any|each|one\ of\ the) \ {_DOCUMENTS} \b
            (?!\ (?:of|for|about|in|on|from|to|between|that|signed|written)\b)
        | {_WRITTEN} (?:\ (?!(?:and|but|or)\b)\w+){{0,3}} \ {_BEFORE_YOU}
        | {_HANDED} \ to \ (?:you|the\ reader)
        | you \ (?:were|are|have\ (?:just\ )?been|just) \ (?:{_HANDED}|read|told)
        | you \ (?:have|can|may) (?:\ just)? \ (?:read|see|seen) \ (?:here|above|below)
        | (?:doc|document|passage|snippet) \ (?:no\ |number\ )? \d+
    )\b""",
    re.VERBOSE,
)
_OTHER_LANGUAGES = (
    # German, French, Spanish, Portuguese, Italian, Dutch, Russian: documents; what follows them within three
    # words; what stands directly before or after them.
    (
        r"(?:(?:dokument|textauszug|auszug|text)(?:e[ns]?)?|textstellen?|passagen?)",
        r"(?:oben|unten|dir)",
        r"(?:obige[nmrs]?|vorliegende[nmrs]?|folgende[nmrs]?|gezeigten?|gegebenen?)",
    ),
    (
        r"(?:documents?|passages?|extraits?|textes?)",
        r"ci (?:dessus|dessous)",
        r"(?:suivants?|precedents?|fournis?)",
    ),
    (
        r"(?:documentos?|pasajes?|fragmentos?|extractos?|textos?)",
        r"(?:arriba|abajo|mas adelante)",
        r"(?:anterior(?:es)?|siguientes?|proporcionados?)",
    ),
    (
        r"(?:documentos?|passagens?|trechos?|excertos?|textos?)",
        r"(?:acima|abaixo)(?! d[aeo])",
        r"(?:anterior(?:es)?|seguintes?|fornecid[oa]s?)",
    ),
    (
        r"(?:document[io]|passagg?io?|bran[io]|estratt[io]|test[io])",
        r"(?:qui (?:sopra|sotto)|di cui sopra)",
        r"(?:seguent[ei]|precedent[ei]|fornit[io])",
    ),
    (
        r"(?:document(?:en)?|passages?|fragment(?:en)?|tekst(?:en)?)",
        r"(?:hierboven|hieronder)",
        r"(?:bovenstaande|onderstaande|volgende)",
    ),
    (
        r"(?:документ\w{0,3}|отрыв\w{1,4}|текст\w{0,3}|фрагмент\w{0,3})",
        r"(?:выше|ниже)",
        r"(?:вышеуказанн\w{1,3}|приведенн\w{1,3}|следующ\w{1,3}|предоставленн\w{1,3})",
    ),
)
_FOREIGN = re.compile(
    "|".join(
        rf"\b{documents}(?: \w+){{0,3}}? {near}\b|\b{documents} {beside}\b|\b{beside} {documents}\b"
        for documents, near, beside in _OTHER_LANGUAGES
    )
)
_CHINESE = re.compile(
    "(?:上述|以上|上面|下面|下列|以下|给定|給定|所给|所給|提供)的?(?:文档|文檔|文件|段落|文本|资料|資料|文章)"
)


def is_about_documents(question: str) -> bool:
    """Whether a question points at passages that only its reader was given.

    The reader of the check can answer such a question and no solver can. What is recognised are phrases of
    English, and in German, French, Spanish, Portuguese, Italian, Dutch, Russian and Chinese a word for
    documents beside one for *above* or *following*. A question about them in other words, or in another
    language, is not recognised.

    >>> is_about_documents("Which name is mentioned most often in the documents given to you above?")
    True
    >>> is_about_documents("Who signed the documents of surrender, and who wrote the passage on tea?")
    False
    """
    words = " ".join(_BETWEEN_WORDS.sub(" ", fold(question)).split())
    return (
        _ENGLISH.search(words) is not None
        or _FOREIGN.search(words) is not None
        or (not words.isascii() and _CHINESE.search(join_unspaced(words)) is not None)
    )
