"""SoQL's grammar as a dialect of sqlglot, kept as small as the language: a word that SoQL does not know is a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import TokenType

from publisher.portal.problems import malformed

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 20_000
"""Characters that a query may have."""
DEEPEST = 60
"""How deep its parentheses and function calls may nest."""

ALL_SYSTEM = "*"
"""What `:*` is parsed to, as the name of a placeholder."""


class SoQL(Dialect):
    """Both quote styles are strings, backticks quote identifiers, nulls are largest."""

    NULL_ORDERING = "nulls_are_large"

    class Tokenizer(tokens.Tokenizer):
        """Every keyword of the language; anything else is a name."""

        QUOTES = ["'", '"']  # noqa: RUF012 -- the tokenizer's own way of being configured
        IDENTIFIERS = ["`"]  # noqa: RUF012
        COMMENTS = ["--", ("/*", "*/")]  # noqa: RUF012
        HEX_STRINGS: ClassVar[list[str | tuple[str, str]]] = []
        BIT_STRINGS: ClassVar[list[str | tuple[str, str]]] = []
        BYTE_STRINGS: ClassVar[list[str | tuple[str, str]]] = []
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            "SELECT": TokenType.SELECT,
            "DISTINCT": TokenType.DISTINCT,
            "FROM": TokenType.FROM,
            "WHERE": TokenType.WHERE,
            "GROUP BY": TokenType.GROUP_BY,
            "HAVING": TokenType.HAVING,
            "ORDER BY": TokenType.ORDER_BY,
            "LIMIT": TokenType.LIMIT,
            "OFFSET": TokenType.OFFSET,
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
            "CASE": TokenType.CASE,
            "WHEN": TokenType.WHEN,
            "THEN": TokenType.THEN,
            "ELSE": TokenType.ELSE,
            "END": TokenType.END,
            "==": TokenType.EQ,
            "<>": TokenType.NEQ,
            "!=": TokenType.NEQ,
            "<=": TokenType.LTE,
            ">=": TokenType.GTE,
            "||": TokenType.DPIPE,
            "::": TokenType.DCOLON,
            "|>": TokenType.PIPE_GT,
        }

    class Parser(parser.Parser):
        """Every call is a plain name with arguments; `case` is both a clause and a function; `AS` is required."""

        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, type[exp.Expr]]] = {}
        SUBQUERY_PREDICATES: ClassVar[dict[TokenType, type[exp.SubqueryPredicate]]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
            "CASE": lambda self: self.parse_either_case()
        }
        PLACEHOLDER_PARSERS: ClassVar[dict[TokenType, Callable[..., Any]]] = {
            TokenType.COLON: lambda self: self.parse_system_column()
        }
        BITWISE: ClassVar[dict[TokenType, type[exp.Binary]]] = {}
        EXPONENT: ClassVar[dict[TokenType, type[exp.Expr]]] = {TokenType.CARET: exp.Pow}

        def parse_either_case(self) -> exp.Expr | None:
            """`CASE WHEN … END`, or `case(condition, value, …)`."""
            if not self._match(TokenType.L_PAREN):
                return self._parse_case()
            arguments = self._parse_csv(self._parse_disjunction)
            self._match_r_paren()
            return self.expression(exp.Anonymous(this="case", expressions=arguments))

        def parse_system_column(self) -> exp.Expr | None:
            """`:id` and its like, or `:*` for all of them."""
            if self._match(TokenType.STAR):
                return self.expression(exp.Placeholder(this=ALL_SYSTEM))
            name = self._parse_id_var()
            return self.expression(exp.Placeholder(this=name.name)) if name else None

        def _parse_alias(self, this: exp.Expr | None, explicit: bool = False) -> exp.Expr | None:  # noqa: ARG002
            return super()._parse_alias(this, explicit=True)


def parse_query(text: str) -> exp.Select:
    """The tree of a whole query. Errors: SodaError `query.compiler.malformed`."""
    return _parse(text, "")


def parse_clause(name: str, text: str) -> exp.Select:
    """The tree of a query that has this clause alone; `name` is e.g. WHERE or ORDER BY."""
    start = "SELECT " if name == "SELECT" else f"SELECT 1 {name} "
    tree = _parse(text, start)
    wanted = {"expressions", "distinct"} if name == "SELECT" else {"expressions", name.split(maxsplit=1)[0].lower()}
    extra = {key for key, value in tree.args.items() if value} - wanted
    if extra:
        raise malformed(text, 1, 1, f"only a {name} clause is expected here")
    return tree


def _parse(text: str, start: str) -> exp.Select:
    if len(text) > LONGEST:
        raise malformed(text, 1, LONGEST, f"the query is longer than {LONGEST} characters")
    _check_depth(text)
    try:
        trees = SoQL().parse(start + text)
    except ParseError as error:
        raise _explained(text, start, error) from None
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, IndexError):
        raise malformed(text, 1, max(1, len(text)), "the text ends or nests where it should not") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        raise malformed(text, 1, 1, "one SELECT statement is expected")
    return trees[0]


def _check_depth(text: str) -> None:
    depth = 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if depth > DEEPEST:
            raise malformed(text, 1, 1, f"parentheses nest more than {DEEPEST} deep")


def _explained(text: str, start: str, error: ParseError) -> Exception:
    found = error.errors[0] if error.errors else {}
    line = int(found.get("line") or 1)
    column = int(found.get("col") or 1) - (len(start) if line == 1 else 0)
    near = str(found.get("highlight") or "").strip()
    return malformed(text, line, max(1, column), f"unexpected {near!r}" if near else "the query is not complete")
