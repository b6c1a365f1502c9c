"""No command that is printed is put together outside rtp/text/suggest.py: a rule over the syntax trees of rtp/."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from rtp.cli import COMMANDS
from tests import trees

PACKAGE = Path(__file__).parents[3] / "rtp"
MAKERS = ("text/suggest.py", "text/elements.py")  # the function, and the mark of its result

VALUE, SAFE = "\x00", "\x01"  # a value from elsewhere; what rtp.text.suggest made

# These words start a command wherever they stand, the others only where a text or a quotation begins.
_ANYWHERE = (
    rf"rtp (?:(?:{'|'.join(COMMANDS)})\b|{VALUE})",
    r"aws [a-z0-9-]+ ",
    r"(?:pip3?|uv|npm|npx|docker|git|cdk|conda|brew|apt|apt-get) (?:-|[a-z]+ )",
    rf"(?:kill|pkill|killall) (?:-|{VALUE})",
    r"(?:sudo|chmod|chown|curl|wget|xargs|eval) ",
    rf"(?:python3?|sh|bash) (?:-|{VALUE})",
)
_AT_START = r"(?:aws|cd|cp|mv|rm|ln|ls|cat|tail|less|make|touch|mkdir|rmdir|export|unset|source|ps|lsof|open|tar) "
_COMMAND = re.compile(rf"(?<![\w./-])(?:{'|'.join(_ANYWHERE)})|(?:(?<=^)|(?<=[`\n])|(?<=\$ )|(?<=[;&|] )){_AT_START}")
_OPTION = re.compile(rf"(?<![\w-])--?[a-z][a-z-]*[= ]['\"]?{VALUE}")

_TEXT_OF_ITS_FIRST = {"dim", "strong", "name", "good", "bad", "warn", "advice", "command", "Text", "Heading", "Block"}
_JOINED = {"line", "Line"}
_MOST = 64  # alternatives of one text


@dataclass
class Scope:
    """What the names of a function, or of the module, stand for: every value that each is given."""

    names: dict[str, list[ast.expr]] = field(default_factory=dict)
    outer: Scope | None = None

    def find(self, name: str) -> list[ast.expr] | None:
        """The values of a name; None where it is a parameter, imported, or anything else that is not known."""
        if name in self.names:
            return self.names[name]
        return self.outer.find(name) if self.outer else None


def templates(node: ast.expr, scope: Scope, depth: int = 6) -> list[str]:
    """The texts that an expression may become, with VALUE and SAFE where something is put in."""
    if depth == 0:
        return [VALUE]

    def of(part: ast.expr) -> list[str]:
        return templates(part, scope, depth - 1)

    def joined(parts: list[ast.expr], between: str = "") -> list[str]:
        return [between.join(each) for each in list(product(*map(of, parts)))[:_MOST]]

    match node:
        case ast.Constant():
            return [str(node.value)]
        case ast.JoinedStr(values=values):
            return joined(values)
        case ast.FormattedValue(value=value) | ast.Starred(value=value):
            return of(value)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return joined([left, right])
        case ast.BinOp(op=ast.Mod(), left=left):
            return [re.sub(r"%[-\w.()]*[sdrfxg]", VALUE, text) for text in of(left)]
        case ast.IfExp(body=body, orelse=orelse):
            return of(body) + of(orelse)
        case ast.BoolOp(values=values):
            return [text for value in values for text in of(value)]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return joined(parts)
        case ast.Name(id=name):
            if name.startswith("__"):
                return [name]
            known = scope.find(name)
            return [VALUE] if known is None else [text for value in known for text in of(value)][:_MOST]
        case ast.NamedExpr(value=value):
            return of(value)
        case ast.Call():
            return _called(node, of, joined)
    return [VALUE]


def _called(node: ast.Call, of, joined) -> list[str]:  # type: ignore[no-untyped-def]
    called, args = node.func, node.args
    if isinstance(called, ast.Attribute):
        if isinstance(called.value, ast.Name) and called.value.id == "suggest":
            return [SAFE]
        texts = of(called.value)
        if called.attr in ("format", "format_map", "substitute"):
            return [re.sub(r"\{[^{}]*\}|\$\w+", VALUE, text) for text in texts]
        if called.attr == "replace" and len(args) == 2:
            return [
                text.replace(old, new)
                for text in texts
                for old in of(args[0])
                for new in of(args[1])
                if VALUE not in old
            ] or [text + VALUE for text in texts]
        if called.attr == "join" and args:
            each = args[0]
            if isinstance(each, ast.List | ast.Tuple):
                return [text for between in texts for text in joined(each.elts, between)]
            inner = of(each.elt) if isinstance(each, ast.GeneratorExp | ast.ListComp) else [VALUE]
            return [f"{one}{between}{one}" for between in texts for one in inner]
        if called.attr in ("strip", "rstrip", "lstrip", "removeprefix", "removesuffix"):
            return texts  # type: ignore[no-any-return]
        return [VALUE]
    if isinstance(called, ast.Name) and args:
        if called.id in _TEXT_OF_ITS_FIRST:
            return of(args[0])  # type: ignore[no-any-return]
        if called.id in _JOINED:
            return joined(args)  # type: ignore[no-any-return]
    return [VALUE]


def unsafe(text: str) -> bool:
    """Whether a value stands within a command, or as that of an option."""
    if _OPTION.search(text):
        return True
    for found in _COMMAND.finditer(text):
        quoted = text.count("`", 0, found.start()) % 2 == 1
        end = text.find("`", found.end()) if quoted else -1
        if VALUE in text[found.start() : end if end >= 0 else len(text)]:
            return True
    return False


def faults(tree: ast.Module, where: str = "") -> list[str]:
    """Where a module puts a printed command together by itself."""
    found: dict[int, str] = {}

    def visit(node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            scope = _scope(node, scope)
        if isinstance(node, ast.JoinedStr | ast.BinOp | ast.Call) and any(map(unsafe, templates(node, scope))):
            found.setdefault(node.lineno, f"{where}:{node.lineno} puts a command together")
        if isinstance(node, ast.Call):
            for problem in _misuse(node):
                found.setdefault(node.lineno, f"{where}:{node.lineno} {problem}")
        if isinstance(node, ast.ImportFrom) and node.module == "shlex" and {a.name for a in node.names} - {"split"}:
            found.setdefault(node.lineno, f"{where}:{node.lineno} imports another quoting")
        for child in ast.iter_child_nodes(node):
            visit(child, scope)

    visit(tree, _scope(tree, None))
    return list(found.values())


def _misuse(node: ast.Call) -> list[str]:
    """The ways past the function: another quoting, a literal that is none, a template that is none, a style by hand."""
    called = ast.unparse(node.func)
    if called in ("shlex.quote", "shlex.join"):
        return [f"quotes with {called}"]
    if called in ("suggest.literal", "suggest.sentence") and not (node.args and isinstance(node.args[0], ast.Constant)):
        return [f"gives {called} a text that is not constant"]
    if called in ("Command", "view.Command"):
        return ["makes a Command by itself"]
    if called == "Text" and any("COMMAND" in ast.unparse(arg) for arg in node.args[1:]):
        return ["marks a text as a command by itself"]
    return []


def _scope(node: ast.AST, outer: Scope | None) -> Scope:
    scope = Scope(outer=outer)
    unknown: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        arguments = node.args
        unknown |= {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        unknown |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a}
    todo = list(ast.iter_child_nodes(node))
    while todo:
        inner = todo.pop()
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        todo += ast.iter_child_nodes(inner)
        for target, value in _given(inner):
            if isinstance(target, ast.Name) and value is not None:
                scope.names.setdefault(target.id, []).append(value)
            elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
                for one, its in zip(target.elts, value.elts, strict=False):
                    if isinstance(one, ast.Name):
                        scope.names.setdefault(one.id, []).append(its)
            else:
                unknown |= {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
    for name in unknown:
        scope.names[name] = [ast.parse("unknown()", mode="eval").body]
    return scope


def _given(node: ast.AST) -> list[tuple[ast.expr, ast.expr | None]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(target, value) for target in targets]
        case ast.AnnAssign(target=target, value=value) if value is not None:
            return [(target, value)]
        case ast.AugAssign(target=target, value=value):
            return [(target, value)]
        case ast.NamedExpr(target=target, value=value):
            return [(target, value)]
        case ast.For(target=target) | ast.comprehension(target=target):
            return [(target, None)]
        case ast.withitem(optional_vars=ast.expr() as target):
            return [(target, None)]
    return []


@trees.READS_ALL
def test_every_printed_command_is_built_by_suggest() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).as_posix() not in MAKERS:
            wrong += faults(trees.tree(path), str(path.relative_to(PACKAGE)))
    assert wrong == []


@pytest.mark.parametrize(
    "source",
    [
        'f"rtp show {id}"',
        'f"See `rtp show {id}`."',
        'f"See `rtp dlq redrive --id {id}` or wait."',
        '"rtp show " + id',
        '"rtp show %s" % id',
        '"rtp show {}".format(id)',
        '"rtp show ID".replace("ID", id)',
        '" ".join(["rtp", "show", id])',
        '"rtp " + " ".join(words)',
        'line(dim("next  "), "rtp show ", name(id))',
        'line(dim("next  "), command(f"rtp show {id}"))',
        'head = "rtp show "\nhead + id',
        'def f(id):\n    said = "`rtp show"\n    said += id\n    return f"{said}{id}`"',
        'raise NotFoundError("gone", hint=f"`kill -9 {pid}` ends it")',
        'f"kill {pid}"',
        'f"aws logs tail {group} --follow"',
        'f"`aws sqs purge-queue --queue-url {url}`"',
        'f"pip install -r {file}"',
        'f"cp {file} {other}"',
        'f"cd {folder}"',
        'f"export {key}={value}"',
        'f"then: $ rm {file}"',
        'f"Repeat it with --confirm {name}."',
        'f"Repeat it with --error={text!r}"',
        'f"<code>rtp show {html(id)}</code>"',
        'f"rtp {word}"',
        'f"rtp deploy -e {env}" if env else "rtp deploy"',
        'shlex.quote(id)',
        'suggest.literal(f"rtp show {id}")',
        'from shlex import quote',
        'suggest.literal(said)',
        'suggest.sentence(said, suggest.command("rtp"))',
        'Command("rtp show x")',
        'Text(said, Style.COMMAND)',
    ],
)  # fmt: skip
def test_the_rule_detects(source: str) -> None:
    assert faults(ast.parse(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        'f"rtp keeps {path}"',
        'f"rtp {__version__}"',
        'f"{name} is not deployed; run `rtp deploy`, then look at {url}"',
        'suggest.command("rtp", "show", values=(id,))',
        'f"{count} wait; " + suggest.sentence("{} shows it", suggest.command("rtp", "show", values=(id,)))',
        'def f(id):\n    again = suggest.command("rtp", "show", values=(id,))\n    return f"`{again}` tells {id}"',
        "f\"kept by `rtp destroy{'' if protected else ' --keep-data'}`\"",
        '[sys.executable, "-m", "rtp", *words]',
        'line(command(suggest.literal("rtp deploy")), dim(f"  {remark}"))',
        'f"{count} less than {other}, so make room"',
    ],
)  # fmt: skip
def test_the_rule_allows(source: str) -> None:
    assert faults(ast.parse(source)) == []
