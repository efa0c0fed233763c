"""Text that others wrote, on its way to a terminal or a log: what cannot be seen is shown as an escape.

A terminal acts on some characters instead of showing them: ESC colours, renames and clears, CR writes over the
line, U+202E turns what follows around. Nothing of the kind is printable for `str.isprintable` (Unicode's
categories Cc, Cf, Zl, Zp, Cs, and blanks but the space), so that nothing has to be listed here.
"""

from __future__ import annotations

_BLANK = "\N{NO-BREAK SPACE}"


def visible(text: str, keep: str = "") -> str:
    """`text` with `\\x1b` where ESC stood, and so on; the characters of `keep` stay."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char == _BLANK or char in keep
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def visible_json(text: str) -> str:
    """The JSON `text` with the same characters escaped in JSON's way: it means the same."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n " else _json_escape(char) for char in text
    )


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
