"""The clients with and without asyncio are one text: without its `await`s the one is the other, method by method."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import pytest

from router.client import (
    AdminClient,
    Advice,
    Batches,
    Client,
    SyncAdminClient,
    SyncAdvice,
    SyncBatches,
    SyncClient,
)

# How a thing of asyncio is called without it.
BLOCKING = {
    "AsyncGenerator": "Generator",
    "AsyncIterator": "Iterator",
    "AioStub": "RouterStub",
    "asyncio": "time",  # `sleep`
    "Advice": "SyncAdvice",
    "Batches": "SyncBatches",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
TWINS = {Client: SyncClient, AdminClient: SyncAdminClient, Batches: SyncBatches}
CONNECTS = {"__init__", "close"}  # a connection per loop, or one: said in `router/clients/channel.py`
ALONE = {"watch"}  # an endless stream: whoever wants one has a loop


class WithoutWaiting(ast.NodeTransformer):
    """`await x` is x, `async for` is `for`, and every name is the blocking one's."""

    def visit_Await(self, node: ast.Await) -> Any:
        return self.visit(node.value)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.For(**vars(node)))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit_FunctionDef(ast.FunctionDef(**vars(node)))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = BLOCKING.get(node.name, node.name)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        """`Awaitable[x]` is x; a generator's return type is written out."""
        if isinstance(node.value, ast.Name) and node.value.id == "Awaitable":
            return self.visit(node.slice)
        if isinstance(node.value, ast.Name) and node.value.id == "AsyncGenerator":
            assert isinstance(node.slice, ast.Tuple)
            node.slice.elts.append(ast.Constant(None))
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(BLOCKING.get(node.id, node.id), node.ctx)


def methods(client: type) -> dict[str, str]:
    """Every method as a text without waiting and without its docstring."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(client))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            plain = WithoutWaiting().visit(node)
            found[plain.name] = ast.unparse(ast.fix_missing_locations(plain))
    return {name: text for name, text in found.items() if name not in CONNECTS | ALONE}


@pytest.mark.parametrize("client", TWINS, ids=lambda client: client.__name__)
def test_the_blocking_client_has_the_same_methods_and_bodies(client: type):
    assert methods(TWINS[client]) == methods(client)


@pytest.mark.parametrize("client", [*TWINS, Advice], ids=lambda client: client.__name__)
def test_both_are_made_with_the_same_options(client: type):
    twin = {**TWINS, Advice: SyncAdvice}[client]
    assert list(inspect.signature(twin).parameters) == list(inspect.signature(client).parameters)
    defaults = [
        [one.default for one in inspect.signature(both).parameters.values()] for both in (client, twin)
    ]
    assert defaults[0] == defaults[1]


def test_a_difference_is_seen():
    """So that the two above can fail."""
    left, right = ast.parse("async def f(): return await g(1)"), ast.parse("def f(): return g(2)")
    texts = [ast.unparse(ast.fix_missing_locations(WithoutWaiting().visit(one))) for one in (left, right)]
    assert texts[0].replace("1", "2") == texts[1] != texts[0]
