"""A position in the tokens of one text, for the grammar to read from; it knows what could have come there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from sqlglot import Token, TokenType

from publisher.portal.base.problems import malformed
from publisher.portal.soql.lexer import LISTED, SHOWN, tokens

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
        self._tried: list[str] = []
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
        else:
            self._tried += [SHOWN[sort] for sort in sorts]
        return found

    def reset(self) -> None:
        """Forget what could have come here instead, as Socrata does after an expression."""
        self._tried = []

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
                self._tried += [] if distance else [f"`{word}'"]
                return False
        self.step(len(words))
        return True

    def expect(self, sort: TokenType) -> None:
        """Skip a token that must be next. Raises SodaError."""
        if not self.take(sort):
            self.unexpected()

    def separated(self, parse: Callable[[], _T]) -> list[_T]:
        """A list: what `parse` reads, and again after each comma."""
        found = [parse()]
        while self.take(TokenType.COMMA):
            found.append(parse())
        return found

    def unexpected(self, *expected: str, reason: str | None = None) -> NoReturn:
        """Refuse the next token, in Socrata's words: what could have come instead, or another reason."""
        token, text = self.token, self.text
        if token is END:
            lines = text.split("\n")
            raise malformed(text, len(lines), len(lines[-1]) + 1, reason or self._instead("end of input", expected))
        raise malformed(text, token.line, token.col, reason or self._instead(f"`{_shown(token)}'", expected))

    def _instead(self, got: str, expected: tuple[str, ...]) -> str:
        """What could have come instead of this, the latest first."""
        *others, last = dict.fromkeys([*expected, *reversed(self._tried)]) or ("nothing",)
        if not others:
            return f"Expected {last}, but got {got}"
        comma = "," if len(others) > 1 else ""
        return f"Expected one of {', '.join(others)}{comma} or {last}, but got {got}"


def _shown(token: Token) -> str:
    if token.token_type in _QUOTED or token.token_type in (TokenType.VAR, TokenType.PARAMETER):
        return f"`{token.text}`" if token.token_type == TokenType.IDENTIFIER else token.text
    return "(" if token.token_type == LISTED else token.text.upper()
