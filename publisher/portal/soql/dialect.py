"""SoQL's grammar; its expressions become sqlglot nodes."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlglot import TokenType, exp

from publisher.portal.base.problems import malformed, semantic
from publisher.portal.base.watch import go_on
from publisher.portal.soql.cursor import END, Cursor
from publisher.portal.soql.lexer import LISTED, SOFT, SYSTEM, TABLE, literals
from publisher.portal.soql.syntax import (
    Compound,
    Item,
    Join,
    Pipe,
    Query,
    Select,
    Star,
    Subquery,
    TableReference,
    placed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlglot import Token

LONGEST = 200_000
"""The most characters in a query."""
DEEPEST = 30
"""How deeply parentheses, function calls, and subqueries may be nested."""
MOST_TERMS = 200
"""How many operators may follow each other on one level; ten times as many for AND and OR."""
MOST_SELECTED = 500
MOST_JOINS = 4
MOST_STATEMENTS = 12

_OR, _AND, _NOT, _BELONGING, _COMPARISON, _SUM, _PRODUCT, _POWER, _SIGN, _CAST = range(1, 11)

_BINARY: dict[TokenType, tuple[int, type[exp.Binary]]] = {
    TokenType.OR: (_OR, exp.Or),
    TokenType.AND: (_AND, exp.And),
    TokenType.EQ: (_COMPARISON, exp.EQ),
    TokenType.NEQ: (_COMPARISON, exp.NEQ),
    TokenType.LT: (_COMPARISON, exp.LT),
    TokenType.LTE: (_COMPARISON, exp.LTE),
    TokenType.GT: (_COMPARISON, exp.GT),
    TokenType.GTE: (_COMPARISON, exp.GTE),
    TokenType.PLUS: (_SUM, exp.Add),
    TokenType.DASH: (_SUM, exp.Sub),
    TokenType.DPIPE: (_SUM, exp.DPipe),
    TokenType.STAR: (_PRODUCT, exp.Mul),
    TokenType.SLASH: (_PRODUCT, exp.Div),
    TokenType.MOD: (_PRODUCT, exp.Mod),
    TokenType.CARET: (_POWER, exp.Pow),
}
_OTHERS = {
    **dict.fromkeys((TokenType.IS, TokenType.LIKE, TokenType.BETWEEN, TokenType.IN, TokenType.NOT), _BELONGING),
    TokenType.DCOLON: _CAST,
    TokenType.DOT: _CAST,
}
_NAMES = {TokenType.VAR, TokenType.IDENTIFIER, *SOFT.values()}
_CONSTANTS: dict[TokenType, Callable[[], exp.Expr]] = {
    TokenType.NULL: exp.Null,
    TokenType.TRUE: lambda: exp.Boolean(this=True),
    TokenType.FALSE: lambda: exp.Boolean(this=False),
}
_LITERALS: dict[TokenType, Callable[[str], exp.Expr]] = {
    TokenType.NUMBER: exp.Literal.number,
    TokenType.STRING: exp.Literal.string,
}
_BEHIND = {TokenType.COMMA, TokenType.R_PAREN}
_SETS = {TokenType.UNION: "UNION", TokenType.INTERSECT: "INTERSECT", TokenType.EXCEPT: "EXCEPT"}


class Parser(Cursor):
    """Parse one text: statements become `Select`, `Pipe`, and `Compound`, expressions sqlglot nodes with a position."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise malformed(text, 1, LONGEST, f"the query is longer than {LONGEST} characters")
        super().__init__(text)
        self._depth = self._joins = self._statements = 0

    def whole(self, parse: Callable[[], Any]) -> Any:
        """The result of `parse`, which must read the whole text."""
        found = parse()
        if self.token is not END:
            self.unexpected("end of input")
        return found

    # statements

    def query(self) -> Query:
        """`SELECT … [|> SELECT …] [UNION SELECT …]`, read from left to right."""
        found = self._statement()
        while True:
            if self.take(TokenType.PIPE_GT):
                right = self._statement()
                if not isinstance(right, Select):
                    message = "The right side of |> must be one SELECT"
                    raise semantic("right-side-of-chain-query-must-be-leaf", message)
                found = Pipe(found, right)
            elif self.token.token_type in _SETS:
                word = _SETS[self.token.token_type] + (" ALL" if self.token.text.upper().endswith(" ALL") else "")
                self.step()
                found = Compound(word, found, self._statement())
            else:
                return found

    def _statement(self) -> Query:
        self._statements += 1
        if self._statements > MOST_STATEMENTS:
            self.unexpected(reason=f"a query holds at most {MOST_STATEMENTS} SELECTs")
        if self.token.token_type == TokenType.L_PAREN:
            inner: Query = self._within(self.query)
            return inner
        self.expect(TokenType.SELECT)
        return self._select()

    def _select(self) -> Select:
        select = Select()
        self.selection(select)
        if self.take(TokenType.FROM):
            select.source = self._table()
        while join := self._join():
            select.joins.append(join)
        if self.take(TokenType.WHERE):
            select.where = self.expr()
        if self.take(TokenType.GROUP_BY):
            select.group = self.listed()
        if self.take(TokenType.HAVING):
            select.having = self.expr()
        self._order_and_search(select)
        self._page(select)
        return select

    def selection(self, select: Select) -> None:
        """The list after SELECT, with DISTINCT or DISTINCT ON before it."""
        select.distinct = self.take(TokenType.DISTINCT)
        if select.distinct and self.take(TokenType.ON):
            select.distinct, select.one_of = False, self._within(self.listed)
        select.items = [self._item()]
        while self.take(TokenType.COMMA):
            select.items.append(self._item())
            if len(select.items) > MOST_SELECTED:
                self.unexpected(reason=f"a SELECT lists at most {MOST_SELECTED} expressions")

    def _item(self) -> Star | Item:
        table = None
        if self.token.token_type == TABLE and self.ahead.token_type == TokenType.DOT and _is_star(self.peek(2)):
            table = self.token.text
            self.step(2)
        if _is_star(self.token):
            system = self.token.text == ":*"
            self.step()
            return Star(system, table, self._exceptions())
        node = self.expr()
        return Item(node, self._name() if self.take(TokenType.ALIAS) else None)

    def _exceptions(self) -> tuple[str, ...]:
        if not self.take(TokenType.L_PAREN):
            return ()
        if not self.take_words("EXCEPT"):
            self.unexpected("`EXCEPT'")
        names = [self._name()]
        while self.take(TokenType.COMMA):
            names.append(self._name())
        self.expect(TokenType.R_PAREN)
        return tuple(names)

    def _table(self) -> TableReference:
        token = self.token
        self.expect(TABLE)
        alias = self._alias() if self.take(TokenType.ALIAS) else None
        if token.text == "this" and alias is None:
            self.unexpected("an alias for `@this'")
        return TableReference(token.text, alias)

    def _alias(self) -> str:
        if self.token.token_type == TABLE:
            self.step()
            return self.last.text.lower()
        return self._name().lower()

    def _join(self) -> Join | None:
        side = ""
        if self.take(TokenType.LEFT, TokenType.RIGHT, TokenType.FULL):
            side = self.last.text.upper()
            self.take(TokenType.OUTER)
            self.expect(TokenType.JOIN)
        elif self.take(TokenType.INNER):
            self.expect(TokenType.JOIN)
        elif not self.take(TokenType.JOIN):
            return None
        self._joins += 1
        if self._joins > MOST_JOINS:
            self.unexpected(reason=f"a query can have at most {MOST_JOINS} joins")
        lateral = self.take(TokenType.LATERAL)
        source = self._table() if self.token.token_type == TABLE else self._subquery()
        self.expect(TokenType.ON)
        return Join(side, lateral, source, self.expr())

    def _subquery(self) -> Subquery:
        if self.token.token_type != TokenType.L_PAREN:
            self.unexpected("a table identifier", "`('")
        query = self._within(self.query)
        self.expect(TokenType.ALIAS)
        return Subquery(query, self._alias())

    def _order_and_search(self, select: Select) -> None:
        for _ in range(2):
            if not select.order and self.take(TokenType.ORDER_BY):
                select.order = self.ordering()
            elif not select.search and self.take(TokenType.COMMAND):
                self.expect(TokenType.STRING)
                select.search = self.last.text

    def _page(self, select: Select) -> None:
        for _ in range(2):
            if select.limit is None and self.take(TokenType.LIMIT):
                select.limit = self.whole_number()
            elif select.offset is None and self.take(TokenType.OFFSET):
                select.offset = self.whole_number()

    def whole_number(self) -> int:
        """The number after LIMIT or OFFSET."""
        token = self.token
        if token.token_type != TokenType.NUMBER or not token.text.isdecimal() or len(token.text) > 18:
            self.unexpected("an integer")
        self.step()
        return int(token.text)

    def ordering(self) -> list[exp.Ordered]:
        """The expressions of ORDER BY, with their directions."""
        return self.separated(self._ordered)

    def _ordered(self) -> exp.Ordered:
        """NULLS FIRST or NULLS LAST; SoQL also allows NULL FIRST."""
        node = self.expr()
        desc = first = self.take(TokenType.ASC, TokenType.DESC) and self.last.token_type == TokenType.DESC
        if self.take(TokenType.NULL) or self.take_words("NULLS"):
            first = self.take_words("FIRST")
            if not first and not self.take_words("LAST"):
                self.unexpected()
        return exp.Ordered(this=node, desc=desc, nulls_first=first)

    def listed(self) -> list[exp.Expr]:
        """Expressions separated by commas."""
        return self.separated(self.expr)

    # expressions

    def expr(self) -> exp.Expr:
        """Any expression."""
        found = self._climb(_OR)
        self.reset()
        return found

    def _climb(self, lowest: int) -> exp.Expr:  # noqa: RET503 -- `unexpected` never returns
        """An expression whose operators, outside parentheses, bind at least as tightly as `lowest`."""
        go_on()
        left = self._prefixed(lowest)
        for count in range(MOST_TERMS * 10):
            token = self.token
            power, node = _BINARY.get(token.token_type, (_OTHERS.get(token.token_type, 0), None))
            if power < lowest or not power:
                return left
            if count >= MOST_TERMS and power > _AND:
                break
            self.step()
            if node is not None:
                right = self._deeper(_POWER) if power == _POWER else self._climb(power + 1)
                left = node(this=left, expression=right)
            elif power == _BELONGING:
                left = self._belonging(token, left)
            else:
                left = self._cast(left) if token.token_type == TokenType.DCOLON else self._field(left)
        self.unexpected(reason="too many operators in a row")

    def _prefixed(self, lowest: int) -> exp.Expr:
        token = self.token
        if token.token_type == TokenType.NOT and lowest <= _NOT:
            self.step()
            return self._placed(exp.Not(this=self._deeper(_NOT)), token)
        if token.token_type in (TokenType.DASH, TokenType.PLUS):
            self.step()
            operand = self._deeper(_SIGN)
            sort = exp.Neg if token.token_type == TokenType.DASH else exp.Paren
            return self._placed(sort(this=operand), token)
        return self._atom()

    def _belonging(self, token: Token, left: exp.Expr) -> exp.Expr:
        """IS, LIKE, BETWEEN, and IN, each with or without NOT."""
        negated = token.token_type == TokenType.NOT
        if negated:
            token = self.token
            self.step()
        match token.token_type:
            case TokenType.IS if not negated:
                negated = self.take(TokenType.NOT)
                node: exp.Expr = exp.Is(this=left, expression=self._constant())
            case TokenType.LIKE:
                node = exp.Like(this=left, expression=self._deeper(_BELONGING))
            case TokenType.BETWEEN:
                low = self._deeper(_BELONGING)
                self.expect(TokenType.AND)
                node = exp.Between(this=left, low=low, high=self._deeper(_BELONGING))
            case TokenType.IN:
                node = self._in(left)
            case _:
                self.step(-1)
                self.unexpected("`LIKE'", "`BETWEEN'", "`IN'")
        return exp.Not(this=node) if negated else node

    def _in(self, left: exp.Expr) -> exp.Expr:
        """`left IN (…)`; the literals of a long list are no nodes, but noted in `values`."""
        listed = self.token
        if not self.take(LISTED):
            return exp.In(this=left, expressions=self._within(self._values))
        node = exp.In(this=left, expressions=[])
        node.meta.update(values=literals(listed.text), listed=(listed.line, listed.col))
        return node

    def _values(self) -> list[exp.Expr]:
        """Expressions separated by commas; literals, which may be thousands, are read without the grammar between."""
        found: list[exp.Expr] = []
        while (made := _LITERALS.get(self.token.token_type)) and self.ahead.token_type in _BEHIND:
            found.append(self._placed(made(self.token.text), self.token))
            self.step()
            if not self.take(TokenType.COMMA):
                return found
        return [*found, *self.listed()]

    def _constant(self) -> exp.Expr:
        made = _CONSTANTS.get(self.token.token_type)
        if made is None:
            self.unexpected("`NULL'", "`TRUE'", "`FALSE'")
        self.step()
        return self._placed(made(), self.last)

    def _cast(self, left: exp.Expr) -> exp.Expr:
        token = self.token
        return exp.Cast(this=left, to=self._placed(exp.Var(this=self._name().lower()), token))

    def _field(self, left: exp.Expr) -> exp.Expr:
        """`point.latitude`, or `b.column` if `b` is the alias of a joined dataset."""
        token = self.token
        if token.token_type == SYSTEM:
            self.step()
            name = token.text
        else:
            name = self._name()
        return exp.Dot(this=left, expression=self._placed(exp.Identifier(this=name), token))

    def _atom(self) -> exp.Expr:  # noqa: PLR0911, RET503 -- one way for each sort of token
        token = self.token
        match token.token_type:
            case TokenType.NUMBER:
                self.step()
                return self._placed(exp.Literal.number(token.text), token)
            case TokenType.STRING:
                self.step()
                return self._placed(exp.Literal.string(token.text), token)
            case TokenType.NULL | TokenType.TRUE | TokenType.FALSE:
                return self._constant()
            case TokenType.L_PAREN:
                return self._placed(exp.Paren(this=self._within(self.expr)), token)
            case TokenType.CASE if self.ahead.token_type == TokenType.WHEN:
                return self._case()
            case _ if token.token_type == SYSTEM and token.text != ":*":
                self.step()
                return self._column(token, token.text)
            case _ if token.token_type == TABLE:
                return self._qualified()
            case _ if token.token_type in _NAMES:
                self.step()
                if self.token.token_type == TokenType.L_PAREN and token.token_type != TokenType.IDENTIFIER:
                    return self._call(token)
                return self._column(token, token.text)
        self.unexpected("an expression")

    def _column(self, token: Token, name: str, table: str | None = None) -> exp.Expr:
        qualifier = exp.Identifier(this=table) if table else None
        return self._placed(exp.Column(this=exp.Identifier(this=name), table=qualifier), token)

    def _qualified(self) -> exp.Expr:
        token = self.token
        self.step()
        self.expect(TokenType.DOT)
        if self.token.token_type == SYSTEM and self.token.text != ":*":
            self.step()
            return self._column(token, self.last.text, token.text)
        return self._column(token, self._name(), token.text)

    def _case(self) -> exp.Expr:
        """`CASE WHEN … THEN … END`; SoQL has no value before the first WHEN."""
        start = self.token
        with self._level():
            self.step()
            ifs = []
            while self.take(TokenType.WHEN):
                condition = self.expr()
                self.expect(TokenType.THEN)
                ifs.append(exp.If(this=condition, true=self.expr()))
            default = self.expr() if self.take(TokenType.ELSE) else None
            self.expect(TokenType.END)
        return self._placed(exp.Case(ifs=ifs, default=default), start)

    def _call(self, token: Token) -> exp.Expr:
        call = self._placed(exp.Anonymous(this=token.text.lower(), expressions=self._within(self._arguments)), token)
        filtered: exp.Expr = call
        if self.take_pair(TokenType.FILTER, TokenType.L_PAREN):
            self.expect(TokenType.WHERE)
            filtered = self._placed(exp.Filter(this=call, expression=self.expr()), token)
            self.expect(TokenType.R_PAREN)
        if self.take_pair(TokenType.OVER, TokenType.L_PAREN):
            return self._placed(self._window(filtered), token)
        return filtered

    def _arguments(self) -> list[exp.Expr]:
        if self.token.token_type == TokenType.R_PAREN:
            return []
        if self.take(TokenType.STAR):
            return [exp.Star()]
        if self.take(TokenType.DISTINCT):
            return [exp.Distinct(expressions=[self.expr()])]
        return self.listed()

    def _window(self, function: exp.Expr) -> exp.Expr:
        """The window specification inside the parentheses after OVER."""
        partition = self.listed() if self.take(TokenType.PARTITION_BY) else []
        order = self.ordering() if self.take(TokenType.ORDER_BY) else []
        spec = None
        if self.take(TokenType.ROWS, TokenType.RANGE):
            kind = self.last.text.upper()
            between = self.take(TokenType.BETWEEN)
            start = self._edge()
            if between:
                self.expect(TokenType.AND)
            spec = exp.WindowSpec(kind=kind, start=start, end=self._edge() if between else None)
        self.expect(TokenType.R_PAREN)
        return exp.Window(this=function, partition_by=partition, order=exp.Order(expressions=order), spec=spec)

    def _edge(self) -> str:
        """The start or end of a frame, in SQL."""
        if self.take_words("CURRENT", "ROW"):
            return "CURRENT ROW"
        amount = "UNBOUNDED" if self.take_words("UNBOUNDED") else str(self.whole_number())
        if not (self.take_words("PRECEDING") or self.take_words("FOLLOWING")):
            self.unexpected()
        return f"{amount} {self.last.text.upper()}"

    # what all of them need

    def _name(self) -> str:
        if self.token.token_type not in _NAMES and self.token.token_type != SYSTEM:
            self.unexpected("an identifier")
        self.step()
        return str(self.last.text)

    def _placed(self, node: exp.Expr, token: Token) -> exp.Expr:
        return placed(node, (token.line, token.col))

    def _within(self, parse: Callable[[], Any]) -> Any:
        """The expression or list inside parentheses."""
        self.expect(TokenType.L_PAREN)
        with self._level():
            found = parse()
        self.expect(TokenType.R_PAREN)
        return found

    def _deeper(self, lowest: int) -> exp.Expr:
        with self._level():
            return self._climb(lowest)

    @contextmanager
    def _level(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > DEEPEST:
            self.unexpected(reason=f"the query is nested more than {DEEPEST} levels deep")
        yield
        self._depth -= 1


def _is_star(token: Token) -> bool:
    return token.text in ("*", ":*") and token.token_type in (TokenType.STAR, SYSTEM)


def parse_query(text: str) -> Query:
    """Parse a whole query. Raises SodaError `query.compiler.malformed`."""
    found = Parser(text)
    tree: Query = found.whole(found.query)
    return tree


def parse_expression(text: str) -> exp.Expr:
    """Parse a single expression. Raises SodaError `query.compiler.malformed`."""
    found = Parser(text)
    tree: exp.Expr = found.whole(found.expr)
    return tree


def parse_clause(select: Select, name: str, text: str) -> None:
    """Parse a single clause, such as `$where`, into a SELECT. Raises SodaError `query.compiler.malformed`."""
    found = Parser(text)
    match name:
        case "$select":
            found.whole(partial(found.selection, select))
        case "$where":
            select.where = found.whole(found.expr)
        case "$group":
            select.group = found.whole(found.listed)
        case "$having":
            select.having = found.whole(found.expr)
        case "$order":
            select.order = found.whole(found.ordering)
        case "$limit":
            select.limit = found.whole(found.whole_number)
        case "$offset":
            select.offset = found.whole(found.whole_number)
