"""CSS of a sub-composition, confined to it, with paths and ids translated to the page that it ends up in.

Works on the tokens of a real CSS tokenizer (tinycss2). Everything else is written back unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tinycss2  # type: ignore[import-untyped]

_CONDITIONAL = frozenset({"media", "supports", "container", "layer", "scope", "starting-style", "document"})
"""At-rules that contain rules. All others (keyframes, font-face, …) are global and stay so."""

_PAGE_ROOTS = frozenset({"html", "body"})


@dataclass(frozen=True)
class Scope:
    """The part of the page that a style sheet's rules may reach.

    `selector` matches the instance's host, and `box` the element that stands for its page. `authored_id` is the file's composition id,
    `root_id` the element id of its root (which the mounted root no longer has), and `ids` maps the element ids that changed.
    """

    selector: str
    box: str
    authored_id: str | None = None
    root_id: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)


def scope_css(css: str, scope: Scope, rebase: Callable[[str], str]) -> str:
    """Return `css` with every rule confined to `scope` and every `url()` passed through `rebase`."""
    return _rules(tinycss2.parse_stylesheet(css), scope, rebase)


def rebase_css(css: str, rebase: Callable[[str], str]) -> str:
    """Return `css`, a style sheet or a style attribute's declarations, with every `url()` and `@import` passed through `rebase`."""
    nodes = tinycss2.parse_component_value_list(css)
    for index, node in enumerate(nodes):
        if node.type == "at-keyword" and node.lower_value == "import":
            target = next((other for other in nodes[index + 1 :] if other.type != "whitespace"), None)
            if target is not None and target.type == "string":
                target.representation = string(rebase(target.value))
    return _text(nodes, rebase)


def string(value: str) -> str:
    """Return `value` as a quoted CSS string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\a ")
    return f'"{escaped}"'


def _rules(rules: Iterable[Any], scope: Scope, rebase: Callable[[str], str]) -> str:
    pieces = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = ", ".join(_selector(selector, scope) for selector in _split(rule.prelude))
            pieces.append(f"{selectors} {{{_declarations(rule.content, scope, rebase)}}}")
        elif rule.type == "at-rule" and rule.lower_at_keyword in _CONDITIONAL and rule.content is not None:
            inner = _rules(tinycss2.parse_rule_list(rule.content), scope, rebase)
            pieces.append(f"@{rule.at_keyword}{_text(rule.prelude, rebase)}{{{inner}}}")
        elif rule.type == "at-rule":
            prelude = _text(rule.prelude, rebase)
            if rule.lower_at_keyword == "import":
                prelude = rebase_css(f"@import{prelude}", rebase).removeprefix("@import")
            pieces.append(f"@{rule.at_keyword}{prelude}" + (";" if rule.content is None else f"{{{_text(rule.content, rebase)}}}"))
        elif rule.type != "error":
            pieces.append(rule.serialize())
    return "".join(pieces)


def _declarations(content: Sequence[Any], scope: Scope, rebase: Callable[[str], str]) -> str:
    """The body of a rule. Nested rules are relative to it already; only their ids change."""
    edit = _id_reference(scope, rebase)
    if not scope.ids and not scope.root_id:
        return _text(content, edit)
    pieces = []
    for item in tinycss2.parse_blocks_contents(content):
        if item.type == "qualified-rule":
            pieces.append(f"{_text(_renamed(item.prelude, scope), edit)}{{{_declarations(item.content, scope, rebase)}}}")
        elif item.type == "declaration":
            pieces.append(f"{item.name}:{_text(item.value, edit)}{' !important' if item.important else ''};")
        elif item.type == "at-rule":
            inner = "" if item.content is None else f"{{{_declarations(item.content, scope, rebase)}}}"
            pieces.append(f"@{item.at_keyword}{_text(item.prelude, edit)}{inner or ';'}")
        elif item.type != "error":
            pieces.append(item.serialize())
    return "".join(pieces)


def _id_reference(scope: Scope, rebase: Callable[[str], str]) -> Callable[[str], str]:
    def edit(url: str) -> str:
        return f"#{scope.ids.get(url[1:], url[1:])}" if url.startswith("#") else rebase(url)

    return edit


def _split(prelude: Sequence[Any]) -> list[list[Any]]:
    selectors: list[list[Any]] = [[]]
    for node in prelude:
        if node.type == "literal" and node.value == ",":
            selectors.append([])
        elif node.type != "comment":
            selectors[-1].append(node)
    return selectors


def _selector(nodes: Sequence[Any], scope: Scope) -> str:
    nodes = _trimmed(nodes)
    own = [node for node in nodes if _names_composition(node, scope)]
    if own:
        if len(nodes) == 1:
            return scope.box
        return "".join(scope.selector if node in own else _text(_renamed([node], scope), str) for node in nodes)
    rest = _without_page_root(nodes)
    if not rest:
        return scope.box
    return f"{scope.selector} {_text(_renamed(rest, scope), str)}"


def _trimmed(nodes: Sequence[Any]) -> list[Any]:
    kept = list(nodes)
    while kept and kept[0].type == "whitespace":
        del kept[0]
    while kept and kept[-1].type == "whitespace":
        del kept[-1]
    return kept


def _without_page_root(nodes: list[Any]) -> list[Any]:
    """Strip a leading `html`, `body` or `:root` with its combinator: a composition has none of its own."""
    while nodes:
        first = nodes[0]
        length = 1 if first.type == "ident" and first.lower_value in _PAGE_ROOTS else 0
        if (
            first.type == "literal"
            and first.value == ":"
            and len(nodes) > 1
            and nodes[1].type == "ident"
            and nodes[1].lower_value == "root"
        ):
            length = 2
        if not length or (len(nodes) > length and nodes[length].type != "whitespace"):
            return nodes
        nodes = _trimmed(nodes[length:])
    return nodes


def _names_composition(node: Any, scope: Scope) -> bool:
    if node.type != "[] block" or scope.authored_id is None:
        return False
    parts = [part for part in node.content if part.type not in ("whitespace", "comment")]
    return (
        len(parts) == 3
        and parts[0].type == "ident"
        and parts[0].lower_value == "data-composition-id"
        and parts[1].type == "literal"
        and parts[1].value == "="
        and parts[2].type in ("ident", "string")
        and parts[2].value == scope.authored_id
    )


def _renamed(nodes: Sequence[Any], scope: Scope) -> list[Any]:
    """The nodes of a selector, functions such as `:not()` included, with the changed ids."""
    result: list[Any] = []
    for node in nodes:
        if node.type == "hash" and node.value == scope.root_id:
            result += tinycss2.parse_component_value_list(f"[data-hf-authored-id={string(node.value)}]")
        elif node.type == "hash" and node.value in scope.ids:
            result += tinycss2.parse_component_value_list(f"[id={string(scope.ids[node.value])}]")
        elif node.type == "function":
            node.arguments = _renamed(node.arguments, scope)
            result.append(node)
        else:
            result.append(node)
    return result


_BRACKETS = {"() block": ("(", ")"), "[] block": ("[", "]"), "{} block": ("{", "}")}


def _text(nodes: Iterable[Any], edit: Callable[[str], str]) -> str:
    """The nodes as CSS, with URLs passed through `edit`."""
    pieces = []
    for node in nodes:
        if node.type == "url":
            pieces.append(f"url({string(edit(node.value))})")
        elif node.type == "function":
            words = [argument for argument in node.arguments if argument.type not in ("whitespace", "comment")]
            if node.lower_name == "url" and words and words[0].type == "string":
                pieces.append(f"url({string(edit(words[0].value))})")
            else:
                pieces.append(f"{node.name}({_text(node.arguments, edit)})")
        elif node.type in _BRACKETS:
            opening, closing = _BRACKETS[node.type]
            pieces.append(f"{opening}{_text(node.content, edit)}{closing}")
        else:
            pieces.append(node.serialize())
    return "".join(pieces)
