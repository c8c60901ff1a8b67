r"""Text from outside as a terminal, a log line or a header may show it: what cannot be seen stands as an escape.

Cursor movements, bidirectional overrides, zero-width marks and lone surrogates would act on who reads them.
"""

from __future__ import annotations

import re
import unicodedata

_DOUBTFUL = re.compile("[^ -~]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str, keep: str = "") -> str:
    r"""Return text whose characters can all be seen, others as `\u202e`; `keep` are those that stay as they are."""
    if text.isprintable():
        return text
    return _DOUBTFUL.sub(lambda found: found[0] if found[0] in keep else _seen(found[0]), text)


def printable_lines(text: str) -> str:
    """Return text of several lines, each of them printable: its line feeds are ours."""
    return printable(text, "\n\t")


def _seen(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":  # other languages have spaces of their own
        return char
    return _SHORT.get(char) or (f"\\u{ord(char):04x}" if ord(char) < 1 << 16 else f"\\U{ord(char):08x}")
