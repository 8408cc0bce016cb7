"""Code without what does not matter to what it does: comments, blank lines, spaces within a line, kinds of quotes.

Python is read token by token, so that nothing inside a string is touched and indentation still counts; it is never
parsed nor compiled (a parser can be made to crash). What cannot be read that way loses its blank lines and the spaces
at the ends of lines, no more. When it fails: renamed variables and another order of statements make different code.
"""

from __future__ import annotations

import io
import re
import tokenize

LONGEST = 20_000  # characters that are read token by token: some 20 ms
_DIRECTIVE = re.compile(
    r"^\s*#\s?(?:include|define|undef|ifn?def|if|elif|else|endif|pragma|import|line|error)\b", re.MULTILINE
)
_IDLE = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER})
_MARKS = {tokenize.NEWLINE: "\n", tokenize.INDENT: "{", tokenize.DEDENT: "}"}


def canonical_code(text: str) -> str:
    """The same string for code that differs in form alone."""
    if len(text) <= LONGEST and not _DIRECTIVE.search(text):
        read = _by_tokens(text)
        if read is not None:
            return read
    lines = (line.rstrip() for line in text.strip("\r\n").splitlines())
    return "\n".join(line for line in lines if line)


def _by_tokens(text: str) -> str | None:
    pieces: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text.strip("\r\n") + "\n").readline):
            if token.type == tokenize.ERRORTOKEN:
                return None  # not Python
            if token.type not in _IDLE:
                pieces.append(_MARKS.get(token.type) or _plain(token))
    except (tokenize.TokenError, SyntaxError, ValueError):  # cut in the middle, or odd indentation
        return None
    # one space between any two: `a b` and `ab` are different, `f( x )` and `f(x)` are not
    return " ".join(pieces).strip()


def _plain(token: tokenize.TokenInfo) -> str:
    string = token.string
    if token.type == tokenize.STRING and len(string) >= 2 and string[0] == string[-1] == '"':
        inner = string[1:-1]
        if not set(inner) & set("'\"\\\n") and inner:
            return f"'{inner}'"
    return string
