"""SoQL's tokens, as sqlglot tokens; each has the line and character where it starts."""

from __future__ import annotations

import re

from sqlglot import Token, TokenType

from publisher.portal.base.problems import malformed
from publisher.portal.base.watch import go_on

_PATTERN = re.compile(
    r"""
      (?P<space>\s+ | --[^\n]* | /\*.*?\*/)
    | (?P<open>/\*)
    | (?P<number>(?:\d+(?:\.\d*)? | \.\d+)(?:e[+-]?\d+)?)
    | (?P<string>'[^']*(?:''[^']*)*' | "(?:[^"\\]|\\.|"")*")
    | (?P<quoted>`[^`]+`)
    | (?P<system>:\* | :@?[a-z_]\w*)
    | (?P<table>@\w[\w-]*)
    | (?P<pair>(?:GROUP|ORDER|PARTITION|UNION|INTERSECT|MINUS)\s+(?:BY|ALL)\b)
    | (?P<name>[^\W\d]\w*)
    | (?P<sign>\|> | \|\| | :: | == | <> | != | <= | >= | [-+*/%^=<>(),.])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)

_TEXT, _NUMBER = r"'[^']*+(?:''[^']*+)*+'", r"[-+]?+\d{1,18}+(?:\.\d{1,18}+)?+"
_LISTED = re.compile(
    rf"\(\s*+(?:(?P<texts>{_TEXT}(?:\s*+,\s*+{_TEXT})*+)|{_NUMBER}(?:\s*+,\s*+{_NUMBER})*+)\s*+\)", re.DOTALL
)
"""What may follow IN: all in single quotes, or all short numbers."""
_LITERALS = re.compile(rf"{_TEXT}|{_NUMBER}", re.DOTALL)

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{6})|.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LAST = 0x10FFFF

SYSTEM, TABLE, LISTED = TokenType.PLACEHOLDER, TokenType.PARAMETER, TokenType.LIST
"""The tokens `:id` (or `:*`), `@abcd-efgh`, and a long list of literals after IN."""
MANY = 100
"""From this many literals on, a list is one token: thousands take no longer than one."""

_SIGNS = {
    "|>": TokenType.PIPE_GT,
    "||": TokenType.DPIPE,
    "::": TokenType.DCOLON,
    "==": TokenType.EQ,
    "=": TokenType.EQ,
    "<>": TokenType.NEQ,
    "!=": TokenType.NEQ,
    "<=": TokenType.LTE,
    ">=": TokenType.GTE,
    "<": TokenType.LT,
    ">": TokenType.GT,
    "-": TokenType.DASH,
    "+": TokenType.PLUS,
    "*": TokenType.STAR,
    "/": TokenType.SLASH,
    "%": TokenType.MOD,
    "^": TokenType.CARET,
    "(": TokenType.L_PAREN,
    ")": TokenType.R_PAREN,
    ",": TokenType.COMMA,
    ".": TokenType.DOT,
}

_PAIRS = {
    "GROUP BY": TokenType.GROUP_BY,
    "ORDER BY": TokenType.ORDER_BY,
    "PARTITION BY": TokenType.PARTITION_BY,
    "UNION ALL": TokenType.UNION,
    "INTERSECT ALL": TokenType.INTERSECT,
    "MINUS ALL": TokenType.EXCEPT,
}

RESERVED = {
    "SELECT": TokenType.SELECT,
    "DISTINCT": TokenType.DISTINCT,
    "FROM": TokenType.FROM,
    "JOIN": TokenType.JOIN,
    "LEFT": TokenType.LEFT,
    "RIGHT": TokenType.RIGHT,
    "FULL": TokenType.FULL,
    "INNER": TokenType.INNER,
    "OUTER": TokenType.OUTER,
    "LATERAL": TokenType.LATERAL,
    "ON": TokenType.ON,
    "WHERE": TokenType.WHERE,
    "HAVING": TokenType.HAVING,
    "SEARCH": TokenType.COMMAND,
    "LIMIT": TokenType.LIMIT,
    "OFFSET": TokenType.OFFSET,
    "UNION": TokenType.UNION,
    "INTERSECT": TokenType.INTERSECT,
    "MINUS": TokenType.EXCEPT,
    "AS": TokenType.ALIAS,
    "AND": TokenType.AND,
    "OR": TokenType.OR,
    "NOT": TokenType.NOT,
    "IS": TokenType.IS,
    "IN": TokenType.IN,
    "BETWEEN": TokenType.BETWEEN,
    "LIKE": TokenType.LIKE,
    "NULL": TokenType.NULL,
    "TRUE": TokenType.TRUE,
    "FALSE": TokenType.FALSE,
    "ASC": TokenType.ASC,
    "DESC": TokenType.DESC,
}
"""Keywords that can name a column only in backticks."""

SOFT = {
    "CASE": TokenType.CASE,
    "WHEN": TokenType.WHEN,
    "THEN": TokenType.THEN,
    "ELSE": TokenType.ELSE,
    "END": TokenType.END,
    "OVER": TokenType.OVER,
    "FILTER": TokenType.FILTER,
    "ROWS": TokenType.ROWS,
    "RANGE": TokenType.RANGE,
}
"""Keywords that name a column wherever they cannot mean anything else."""

_WORDS = RESERVED | SOFT


SHOWN = {
    **{sort: f"`{sign}'" for sign, sort in reversed(_SIGNS.items())},
    **{sort: f"`{word}'" for word, sort in _WORDS.items()},
    **{sort: f"`{words}'" for words, sort in _PAIRS.items() if not words.endswith("ALL")},
    TokenType.STRING: "a string",
    TokenType.NUMBER: "an integer",
    TABLE: "a table identifier",
    LISTED: "`('",
}
"""Types of tokens as Socrata's errors name them."""


def tokens(text: str) -> list[Token]:
    """The tokens of a text. Raises SodaError `query.compiler.malformed` at a character that starts no token."""
    found: list[Token] = []
    position, line, line_start = 0, 1, 0
    while position < len(text):
        go_on()
        match = _long_list(text, position, found) or _PATTERN.match(text, position)
        if match is None or match.lastgroup == "open":
            raise malformed(text, line, position - line_start + 1, _fault(text[position]))
        kind, value = match.lastgroup, match[0]
        if kind != "space":
            token_type, shown = (LISTED, value) if match.re is _LISTED else _read(kind, value)
            found.append(Token(token_type, shown, line, position - line_start + 1, position, match.end() - 1))
        if "\n" in value:
            line += value.count("\n")
            line_start = position + value.rindex("\n") + 1
        position = match.end()
    return found


def _long_list(text: str, position: int, before: list[Token]) -> re.Match[str] | None:
    """The list of many literals that begins here, after IN."""
    if text[position] != "(" or not before or before[-1].token_type != TokenType.IN:
        return None
    match = _LISTED.match(text, position)
    return match if match is not None and match[0].count(",") >= MANY else None


def literals(listed: str) -> tuple[tuple[str, ...], bool]:
    """The literals of such a list, and whether they are texts; otherwise all are numbers."""
    found = _LITERALS.findall(listed)
    if not found[0].startswith("'"):
        return tuple(found), False
    return tuple(each[1:-1].replace("''", "'") for each in found), True


def _text(value: str) -> str:
    """The text between quotes; double ones also have the escapes of JSON, and others stand for themselves."""
    inner = value[1:-1].replace(value[0] * 2, value[0])
    return inner if value[0] == "'" else _ESCAPE.sub(_unescaped, inner)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code is None:
        return _ESCAPES.get(match[0][1], match[0][1])
    found = int(code, 16)
    return chr(found) if found <= _LAST and not 0xD800 <= found < 0xE000 else "\ufffd"


def _fault(character: str) -> str:
    """What is wrong where no token starts, in Socrata's words."""
    # A comment without an end is refused at once: read as two signs, each of many would be searched to the end.
    if character == "/":
        return "Unexpected end of input: a comment has no end"
    return "Unterminated string" if character in "'\"`" else f"Unexpected character {character!r}"


def _read(kind: str | None, value: str) -> tuple[TokenType, str]:  # noqa: PLR0911 -- one way for each sort
    match kind:
        case "name":
            return _WORDS.get(value.upper(), TokenType.VAR), value
        case "sign":
            return _SIGNS[value], value
        case "number":
            return TokenType.NUMBER, value
        case "string":
            return TokenType.STRING, _text(value)
        case "quoted":
            return TokenType.IDENTIFIER, value[1:-1]
        case "system":
            return SYSTEM, value.lower()
        case "table":
            return TABLE, value[1:].lower()
        case _:
            words = " ".join(value.upper().split())
            return _PAIRS.get(words, TokenType.UNKNOWN), words
