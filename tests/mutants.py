"""Mutation testing of what decides: small mistakes are put into a copy of the code, one at a time, and the unit tests must notice.

    python tests/mutants.py --seed 2026 --count 400

Of all places the draw takes those whose digests with the seed are least, so that it stays nearly the same when code is edited. The tree
itself is never touched. A mutant is killed when a test fails, or when the tests use `PATIENCE` times the processor time that they
usually need, which only a mutant that loops does. Equivalent mutants count as survivors; there is no way to except one.

Not mutated: annotations, decorators, imports and docstrings.
"""

from __future__ import annotations

import argparse
import ast
import collections
import hashlib
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_RULES = (
    "unit/test_values.py", "unit/test_match.py", "unit/test_templates.py", "unit/test_filters.py", "unit/test_engine.py",
    "unit/test_cases.py", "unit/test_rule_steps.py", "repo/test_bad_configs.py", "unit/test_meter.py",
)  # fmt: skip
TESTS = {
    "crmbridge/rules": _RULES,
    "crmbridge/publisher/decide.py": ("unit/test_decide.py",),
    "crmbridge/intake/change.py": ("unit/test_change.py", "unit/test_interpreter.py"),
}
"""What is mutated, and by which tests; the quick ones first."""
LIBRARIES = ("aiohttp", "click", "jinja2", "orjson", "prometheus_client", "pydantic", "requests", "tweepy", "twitter_text", "yaml")
"""What is the same for every mutant, and takes a second."""
PATIENCE = 10
MEMORY = 2 << 30  # bytes: a mutant that grows without end fails


@dataclass(frozen=True)
class Mutant:
    """One mistake: the bytes from `start` to `end` of a file are something else."""

    path: str
    place: str
    kind: str
    line: int
    start: int
    end: int
    new: str
    data: bytes = field(repr=False)
    """The file as it is."""

    @property
    def old(self) -> str:
        return self.data[self.start : self.end].decode()

    def source(self) -> bytes:
        """The whole file with the mistake in it."""
        return self.data[: self.start] + self.new.encode() + self.data[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.kind}: {' '.join(self.old.split())}  ->  {' '.join(self.new.split())}"


# --- the mistakes

_COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"), ast.Eq: ("!=",), ast.NotEq: ("==",),
    ast.Is: ("is not",), ast.IsNot: ("is",), ast.In: ("not in",), ast.NotIn: ("in",),
}  # fmt: skip
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*", ast.Pow: "*", ast.LShift: ">>",
    ast.RShift: "<<", ast.BitOr: "&", ast.BitAnd: "|", ast.BitXor: "|",
}  # fmt: skip

_EITHER_WAY = ("isinstance", "max", "min")  # swapped, their arguments mean the same, or fail at once


def _text(node: ast.AST) -> str:
    return f"({ast.unparse(node)})" if isinstance(node, ast.expr) else ast.unparse(node)


class _Finder(ast.NodeVisitor):
    """Every mistake that can be made in one file."""

    def __init__(self, path: str) -> None:
        self.path, self.data = path, (ROOT / path).read_bytes()
        self.begins = [0]
        for line in self.data.splitlines(keepends=True):
            self.begins.append(self.begins[-1] + len(line))
        self.names: list[str] = []
        self.found: list[Mutant] = []
        self.visit(ast.parse(self.data))

    def put(self, node: ast.AST, kind: str, new: str, until: ast.AST | None = None) -> None:
        start = self.begins[node.lineno - 1] + node.col_offset
        last = until or node
        end = self.begins[last.end_lineno - 1] + last.end_col_offset
        self.found.append(Mutant(self.path, ".".join(self.names), kind, node.lineno, start, end, new, self.data))

    # what is left alone, and where we are

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.names.append(node.name)
        for one in node.body:
            self.visit(one)
        self.names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.names.append(node.name)
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(default)
        for one in node.body:
            self.visit(one)
        self.names.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    # statements

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # what is said of something
        if isinstance(node.value, ast.Call):
            self.put(node, "statement removed", "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.put(node, "statement removed", "pass")
        if node.exc:
            self.visit(node.exc)

    def visit_Assign(self, node: ast.Assign) -> None:
        bound = {ast.unparse(one) for target in node.targets for one in getattr(target, "elts", [target])}
        used = {ast.unparse(one) for one in ast.walk(node.value) if isinstance(one, ast.Name)}
        if bound <= used or not all(isinstance(one, (ast.Name, ast.Tuple)) for one in node.targets):
            self.put(node, "statement removed", "pass")
        if isinstance(node.value, ast.Tuple) and len(bound) == len(node.value.elts):
            for one in node.value.elts:  # with one item less it would only fail to be unpacked
                self.visit(one)
        else:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.put(node, "statement removed", "pass")
        self.put(node, "arithmetic", f"{ast.unparse(node.target)} {_BINARY[type(node.op)]}= {ast.unparse(node.value)}")
        self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.put(node, "nothing returned", "return None")
            self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        self.put(node, "break", "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self.put(node, "continue", "break")

    def condition(self, test: ast.expr) -> None:
        if not isinstance(test, (ast.Compare, ast.UnaryOp)):
            self.put(test, "condition negated", f"(not {_text(test)})")

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    visit_While = visit_IfExp = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.condition(test)
            self.put(test, "condition dropped", "True")
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        if node.guard:
            self.condition(node.guard)
            self.put(node.guard, "condition dropped", "True")
        else:
            self.put(node.pattern, "case dropped", f"{ast.unparse(node.pattern)} if False")
        if node.guard:
            self.visit(node.guard)
        for one in node.body:
            self.visit(one)

    # expressions

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for index, op in enumerate(node.ops):
            for number, sign in enumerate(_COMPARISONS[type(op)]):
                kind = "boundary" if number == 0 and len(_COMPARISONS[type(op)]) == 2 else "comparison negated"
                left, right = sides[index], sides[index + 1]
                self.put(left, kind, f"{_text(left)} {sign} {_text(right)}", right)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        sign, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        self.put(node, "and/or", f"({f' {other} '.join(map(_text, node.values))})")
        for dropped in node.values:
            self.put(node, "operand dropped", f"({f' {sign} '.join(_text(one) for one in node.values if one is not dropped)})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.put(node, "not removed" if isinstance(node.op, ast.Not) else "sign removed", _text(node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.put(node, "arithmetic", f"({_text(node.left)} {_BINARY[type(node.op)]} {_text(node.right)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self.put(node, "constant", str(not node.value))
            case int() | float():
                self.put(node, "constant", str(node.value + 1))
                self.put(node, "constant", f"({node.value - 1})")
            case str():
                self.put(node, "text", '""' if node.value else '"mutated"')

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.put(node, "text", '""')
        for one in node.values:
            if isinstance(one, ast.FormattedValue) and sys.version_info >= (3, 12):  # before that its places are not known
                self.visit(one.value)

    def visit_Call(self, node: ast.Call) -> None:
        if (
            len(node.args) >= 2
            and not any(isinstance(one, ast.Starred) for one in node.args[:2])
            and ast.unparse(node.func) not in _EITHER_WAY
        ):
            one, other = node.args[:2]
            self.put(one, "arguments swapped", f"{ast.unparse(other)}, {ast.unparse(one)}", other)
        for index in range(len(node.keywords)):
            rest = [*node.args, *node.keywords[:index], *node.keywords[index + 1 :]]
            self.put(node, "argument dropped", f"{ast.unparse(node.func)}({', '.join(map(ast.unparse, rest))})")
        self.generic_visit(node)

    def items(self, node: ast.List | ast.Set | ast.Tuple) -> None:
        if not isinstance(getattr(node, "ctx", None), ast.Store) and len(node.elts) > 1:
            for dropped in node.elts:
                rest = [one for one in node.elts if one is not dropped]
                self.put(node, "item dropped", ast.unparse(type(node)(elts=rest, ctx=ast.Load())))
        self.generic_visit(node)

    visit_List = visit_Set = visit_Tuple = items

    def visit_Dict(self, node: ast.Dict) -> None:
        for index in range(len(node.keys)):
            keys, values = ([*some[:index], *some[index + 1 :]] for some in (node.keys, node.values))
            self.put(node, "item dropped", ast.unparse(ast.Dict(keys=keys, values=values)))
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        lower, upper = (ast.unparse(one) if one else "" for one in (node.lower, node.upper))
        if lower:
            self.put(node, "slice", f":{upper}")
        if upper:
            self.put(node, "slice", f"{lower}:")
        self.generic_visit(node)


def _differs(mutant: Mutant) -> bool:
    """Whether it can be compiled and is not what stands there."""
    source = mutant.source()
    try:
        compile(source, mutant.path, "exec")
    except SyntaxError:
        return False
    return ast.dump(ast.parse(source)) != ast.dump(ast.parse(mutant.data))


def draw(seed: int, count: int) -> tuple[list[Mutant], int]:
    """`count` mutants, and of how many."""
    paths = [one for part in TESTS for one in sorted((ROOT / part).rglob("*.py") if (ROOT / part).is_dir() else [ROOT / part])]
    ranked: list[tuple[str, Mutant]] = []
    seen = collections.Counter[str]()
    for path in paths:
        for one in _Finder(path.relative_to(ROOT).as_posix()).found:
            name = "\n".join((one.path, one.place, one.kind, one.old, one.new))
            seen[name] += 1
            ranked.append((hashlib.sha256(f"{seed}\n{seen[name]}\n{name}".encode()).hexdigest(), one))
    taken: list[Mutant] = []
    for _, one in sorted(ranked, key=lambda pair: pair[0]):
        if len(taken) == count:
            break
        if _differs(one):
            taken.append(one)
    return sorted(taken, key=lambda one: (one.path, one.line)), len(ranked)


# --- the runs


def _tests(path: str) -> tuple[str, ...]:
    return next(tests for part, tests in TESTS.items() if path.startswith(part))


def _begin(tree: Path, tests: Sequence[str], seconds: float) -> int:
    """Begin the tests in a process of its own, a fork of this one, which knows the libraries already but not our code."""
    if pid := os.fork():
        return pid
    try:
        sys.stdout.flush()
        with (tree / "said").open("wb") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        os.chdir(tree)
        sys.path[:0] = [str(tree)]
        scratch = tree / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        os.environ |= {"HYPOTHESIS_STORAGE_DIRECTORY": str(scratch / "hypothesis"), "COLUMNS": "200"}
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0", f"--basetemp={scratch / 'tests'}"]
        code = pytest.main([*options, *(f"tests/{one}" for one in tests)])
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)
    os._exit(code)


def _end() -> tuple[int, int, float]:
    """The next that ends: its process, its exit code, and the processor time that it took."""
    pid, status, used = os.wait4(-1, 0)
    return pid, os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def _copy(to: Path) -> None:
    """The tree as it is, without what git ignores."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def main() -> int:
    """Draw, run, and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="mutants whose line has this in it")
    parser.add_argument("--list", action="store_true", help="show the draw and run nothing")
    asked = parser.parse_args()
    drawn, places = draw(asked.seed, asked.count)
    drawn = [one for one in drawn if asked.only in str(one)]
    if asked.list:
        print("\n".join(map(str, drawn)), f"{len(drawn)} of {places} mutants", sep="\n")
        return 0

    for name in LIBRARIES:
        importlib.import_module(name)
    began = time.monotonic()
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory(prefix="crmbridge-mutants-") as folder:
        trees = [Path(folder, str(number)) for number in range(asked.jobs)]
        _copy(trees[0])
        # Compiled by content: a mutant of the same size, written within the same second, is never taken for what it was.
        command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "crmbridge", "connectors"]
        subprocess.run(command, cwd=trees[0], check=True)
        usual: dict[tuple[str, ...], float] = {}
        for tests in TESTS.values():
            _begin(trees[0], tests, 600)
            _, code, usual[tests] = _end()
            if code:
                print((trees[0] / "said").read_text("utf-8", "replace"), "the tests fail without any mutant", sep="\n")
                return 2
        for tree in trees[1:]:
            shutil.copytree(trees[0], tree)
        sys.dont_write_bytecode = True
        waiting, running = drawn[::-1], dict[int, tuple[Mutant, Path]]()
        while waiting or running:
            while waiting and trees:
                mutant, tree = waiting.pop(), trees.pop()
                (tree / mutant.path).write_bytes(mutant.source())
                tests = _tests(mutant.path)
                running[_begin(tree, tests, PATIENCE * usual[tests])] = mutant, tree
            pid, code, _ = _end()
            mutant, tree = running.pop(pid)
            (tree / mutant.path).write_bytes(mutant.data)
            trees.append(tree)
            loops = code in (-signal.SIGXCPU, -signal.SIGKILL)
            end = "loops" if loops else {0: "survived", 1: "killed", 2: "killed"}.get(code, "unclear")
            found[mutant.path][end] += 1
            if end != "killed":
                print(f"{end}: {mutant}", flush=True)
            if end == "unclear":
                print(f"exit code {code}", (tree / "said").read_text("utf-8", "replace")[-500:], sep="\n", flush=True)
    total = sum(found.values(), collections.Counter())
    print(f"\nseed {asked.seed}: {len(drawn)} of {places} mutants, {time.monotonic() - began:.0f} s")
    for path, counts in [*sorted(found.items()), ("all", total)]:
        dead, all_ = counts["killed"] + counts["loops"], counts.total()
        print(f"{dead:4} of {all_:4} killed, {dead / all_:6.1%}, {counts['loops']} of them loop  {path}")
    return 1 if total["unclear"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
