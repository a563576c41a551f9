"""Ways in which a service may write a key that it echoes."""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from functools import cache
from urllib.parse import quote

KEY = "sk-proj-Ab3_x9/Kd+Qw7=Zt5rYp"


def each(key, write):
    return "".join(map(write, key))


@cache
def escapings(key):
    """The key as services write it, by name; every one is ASCII."""
    url, data = quote(key, safe=""), key.encode()
    return {
        "plain": key,
        "JSON": each(key, lambda sign: f"\\u{ord(sign):04x}"),
        "JSON in part": each(key, lambda sign: sign if sign.isalpha() else f"\\u{ord(sign):04X}"),
        "JSON within JSON": json.dumps(each(key, lambda sign: f"\\u{ord(sign):04x}"))[1:-1],
        "JSON of PHP": key.replace("/", "\\/"),
        "URL": url,
        "URL throughout": each(key, lambda sign: f"%{ord(sign):02x}"),
        "URL twice": quote(url, safe=""),
        "URL within JSON": each(url, lambda sign: f"\\u{ord(sign):04x}"),
        "HTML": each(key, lambda sign: f"&#{ord(sign)};"),
        "HTML, hexadecimal": each(key, lambda sign: f"&#x{ord(sign):X};"),
        "HTML twice": html.escape(each(key, lambda sign: f"&#{ord(sign)};")),
        "HTML, names": key.replace("/", "&sol;").replace("+", "&plus;").replace("=", "&equals;"),
        "base64": b64encode(data).decode(),
        "base64 of basic": b64encode(b"user:" + data).decode(),
        "base64 of more": b64encode(b"ab" + data + b"cdef").decode(),
        "base64 for URLs": urlsafe_b64encode(b"?" + data).decode(),
        "base64 in a URL": quote(b64encode(b"a" + data).decode(), safe=""),
        "hexadecimal": data.hex(),
        "Python": each(key, lambda sign: f"\\x{ord(sign):02x}"),
        "upper case": key.upper(),
    }


def traces(text, key):
    """Which writings of the key, or of either half of it, a text holds."""
    halves = {"whole": key, "first half": key[: len(key) // 2], "second half": key[len(key) // 2 :]}
    for half, part in halves.items():
        yield from (f"{half}: {name}" for name, written in escapings(part).items() if written in text)
