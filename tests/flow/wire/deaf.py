"""Do the proofs bite? Every place in the code that asks for a key is made deaf in turn, and the key's proofs must notice.

A place is `one.overlap` somewhere in crmbridge/ or connectors/, where `one` is the model of that key. A deaf one goes on hearing what
it heard with the proof's first value. So each place is a mutant of its own, and one that no proof notices asks for nothing.

    python tests/flow/wire/deaf.py                       all keys
    python tests/flow/wire/deaf.py --keys 80 --seed 7    as many, drawn by a seed
    python tests/flow/wire/deaf.py sources.rest          all whose names begin so
"""

import argparse
import ast
import builtins
import importlib
import importlib.machinery
import logging
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODELS = ("crmbridge/config/models.py", "crmbridge/hooks/*.py", "connectors/*/*/options.py")
NOT_USES = ("options.py", "config/models.py", "config/reference.py", "hooks/proofs.py")
"""Where options say themselves what they are."""


EVERYWHERE = "everywhere"


class _Ears(ast.NodeTransformer):
    """Lets code ask `__heard__(one, "overlap", PLACE)` where it says `one.overlap`."""

    def __init__(self, names, file):
        self.names, self.file = names, file

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if node.attr not in self.names or not isinstance(node.ctx, ast.Load):
            return node
        place = ast.Constant(f"{self.file}:{node.lineno}:{node.end_col_offset}")
        call = ast.Call(ast.Name("__heard__", ast.Load()), [node.value, ast.Constant(node.attr), place], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def visit_AnnAssign(self, node):  # an annotation asks for nothing
        node.value = node.value and self.visit(node.value)
        return node

    def visit_FunctionDef(self, node):
        node.body = [self.visit(one) for one in node.body]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_match_case(self, node):  # a pattern is no question
        node.guard = node.guard and self.visit(node.guard)
        node.body = [self.visit(one) for one in node.body]
        return node


class _Loader(importlib.machinery.SourceFileLoader):
    names: frozenset = frozenset()

    def get_code(self, fullname):
        path = Path(self.path)
        tree = _Ears(self.names, path.relative_to(ROOT).as_posix()).visit(ast.parse(path.read_bytes()))
        return compile(tree, self.path, "exec")


class _Finder:
    """Finds the modules of crmbridge and its connectors, with ears."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in ("crmbridge", "connectors"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.origin and spec.origin.endswith(".py") and not spec.origin.endswith(NOT_USES):
            spec.loader = _Loader(name, spec.origin)
        return spec


class Listening:
    """What code asks for, while it runs."""

    def __init__(self):
        self.key = None
        self.heard = {}
        """The values that each place heard with the first value, in order."""
        self.deaf = None
        self.again = {}

    def __call__(self, one, name, place):
        value = getattr(one, name)
        key = self.key
        if key is None or key.attribute != name or key.model not in type(one).__mro__:
            return value
        if self.deaf is None:
            self.heard.setdefault(place, []).append(value)
        elif self.deaf in (place, EVERYWHERE):
            return next(self.again.get(place, iter(())), value)
        return value

    def proof(self, proof, key):
        """By place: whether the proof notices that it is deaf; EVERYWHERE is all of them at once."""
        self.key, self.deaf, self.heard = key, None, {}
        (first, _), *others = proof.cases
        observed(proof, first)
        heard, noticed = self.heard, {}
        for place in [*heard, EVERYWHERE] if heard else ():
            self.deaf, noticed[place] = place, False
            for value, seen in others:
                self.again = {where: iter(values) for where, values in heard.items()}
                noticed[place] |= observed(proof, value) != seen
        self.key = None
        return noticed


def observed(proof, value):
    """What is seen, or that it cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return proof.observed(value, Path(folder))
        except Exception as error:
            return f"raises {type(error).__name__}"


def asked_for():
    """The names of all attributes that are keys; read off the models without the rest of the code."""
    names = set()
    for file in [path for pattern in MODELS for path in ROOT.glob(pattern)]:
        tree = ast.parse(file.read_bytes())
        fields = [one.target for one in ast.walk(tree) if isinstance(one, ast.AnnAssign)]
        names |= {one.id for one in fields if isinstance(one, ast.Name)}
    return frozenset(names)


def main():
    """Make every place of the chosen keys deaf, and tell which no proof notices."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prefix", nargs="?", default="")
    parser.add_argument("--keys", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "unit")]
    _Loader.names = asked_for()
    sys.meta_path.insert(0, _Finder)
    builtins.__heard__ = listening = Listening()
    for module in sorted(Path(__file__).parent.glob("keys_of_*.py")):
        importlib.import_module(f"flow.wire.{module.stem}")
    keys, proofs = (importlib.import_module(f"flow.wire.{name}") for name in ("keys", "proofs"))
    proved = {one.key: [] for one in proofs.PROOFS}
    for one in proofs.PROOFS:
        proved[one.key].append(one)
    chosen = sorted(name for name in proved if name.startswith(given.prefix))
    if given.keys:
        chosen = sorted(random.Random(given.seed).sample(chosen, given.keys))
    logging.disable()
    importlib.import_module("flow.wire.bridge").Stage.PATIENCE = 10.0  # who is deaf may wait for ever
    silent, survived, unproved, places = [], [], [], 0
    for name in chosen:
        noticed = {}
        for proof in proved[name]:
            for place, how in listening.proof(proof, keys.every_key()[name]).items() if keys.every_key()[name].model else ():
                noticed[place] = noticed.get(place, False) or how
        if not noticed.pop(EVERYWHERE, True):
            unproved.append(name)
        places += len(noticed)
        survived += [f"{name} at {place}" for place, how in noticed.items() if not how]
        silent += [] if noticed else [name]
    print(f"{len(chosen)} keys taken out: {len(chosen) - len(unproved) - len(silent)} noticed, {len(unproved)} not: {', '.join(unproved)}")
    print(f"{places} places made deaf: {places - len(survived)} noticed, {len(survived)} not")
    print("\n".join(f"not noticed: {one}" for one in survived))
    print("\n".join(f"nobody asks for it in this process: {one}" for one in silent))
    return 1 if unproved else 0


if __name__ == "__main__":
    raise SystemExit(main())
