"""A position in the tokens of one text, for the grammar to read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from sqlglot import Token, TokenType

from publisher.portal.base.problems import malformed
from publisher.portal.soql.lexer import tokens

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

END = Token(TokenType.SENTINEL, "")
"""The token before the first and after the last one."""
_QUOTED = {TokenType.STRING, TokenType.IDENTIFIER}
"""Types of tokens that are never keywords, whatever their text."""


class Cursor:
    """Reads tokens: `token` is the next to read, `ahead` the one after it, `last` the one before it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens(text)
        self._place = 0
        self.step(0)

    def step(self, count: int = 1) -> None:
        """Move forward by this many tokens, or back."""
        self._place += count
        self.last, self.token, self.ahead = self.peek(-1), self.peek(0), self.peek(1)

    def peek(self, distance: int) -> Token:
        """The token at this distance from the next one to read."""
        place = self._place + distance
        return self._tokens[place] if 0 <= place < len(self._tokens) else END

    def take(self, *sorts: TokenType) -> bool:
        """Skip a token of one of these types, if it is next."""
        found = self.token.token_type in sorts
        if found:
            self.step()
        return found

    def take_pair(self, first: TokenType, second: TokenType) -> bool:
        """Skip two tokens, if both are next."""
        found = self.token.token_type == first and self.ahead.token_type == second
        if found:
            self.step(2)
        return found

    def take_words(self, *words: str) -> bool:
        """Skip these words (in capitals), if all are next."""
        for distance, word in enumerate(words):
            token = self.peek(distance)
            if token.token_type in _QUOTED or token.text.upper() != word:
                return False
        self.step(len(words))
        return True

    def expect(self, sort: TokenType, shown: str) -> None:
        """Skip a token that must be next. Raises SodaError."""
        if not self.take(sort):
            self.unexpected(f"expected {shown}")

    def separated(self, parse: Callable[[], _T]) -> list[_T]:
        """A list: what `parse` reads, and again after each comma."""
        found = [parse()]
        while self.take(TokenType.COMMA):
            found.append(parse())
        return found

    def unexpected(self, reason: str | None = None) -> NoReturn:
        """Refuse the next token. Raises SodaError."""
        if self.token is END:
            lines = self.text.split("\n")
            line, column = len(lines), len(lines[-1]) + 1
            reason = reason or "the query is not complete"
        else:
            line, column = self.token.line, self.token.col
            reason = reason or f"unexpected {self.token.text!r}"
        raise malformed(self.text, line, column, reason)
