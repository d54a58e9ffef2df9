"""Imports point downwards only, and siblings never import each other."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = [
    {"cli"},
    {"app"},
    {"reload"},
    {"lookout"},
    {"crew"},
    {"assemble"},
    {"simulate"},
    {"testing"},
    {"web", "chirp"},
    {"operate", "pages"},
    {"troubles"},
    {"config"},
    {"registry", "intake", "publisher"},
    {"rules", "store"},
    {"rest"},
    {"hooks"},
    {"contract", "http", "db", "server", "supervise", "waiting"},
    {"schema"},
    {"model", "errors", "telemetry", "peers"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FOR_CONNECTORS = {"hooks", "rest", "contract", "model", "errors", "http", "telemetry"}


def imports(path: Path) -> list[str]:
    """Every module that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            found += (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module in ("crmbridge", "connectors") else [node.module]
            )
    return found


def violations(path: Path, module: str) -> list[str]:
    """What `module` (its dotted name) may not import."""
    parts = module.split(".")
    wrong = []
    for name in imports(path):
        target = name.split(".")
        if target[0] == "connectors" and (parts[0] == "crmbridge" or target[1:3] != parts[1:3]):
            wrong.append(name)
        elif target[0] == "crmbridge" and len(target) > 1 and target[1] in RANK:
            if parts[0] == "connectors":
                if target[1] not in FOR_CONNECTORS:
                    wrong.append(name)
            elif len(parts) > 1 and parts[1] in RANK and target[1] != parts[1] and RANK[target[1]] <= RANK[parts[1]]:
                wrong.append(name)
    return wrong


def test_imports_point_downwards():
    """One violation anywhere fails, with its file."""
    wrong = []
    for package in ("crmbridge", "connectors"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            wrong += [f"{module} imports {name}" for name in violations(path, module)]
    assert not wrong


def test_every_module_has_a_layer():
    """A new module of the core must find its place in the list."""
    found = {path.stem for path in (ROOT / "crmbridge").iterdir() if not path.name.startswith("_") and path.suffix in ("", ".py")}
    found = {name for name in found if (ROOT / "crmbridge" / name).is_dir() or (ROOT / "crmbridge" / f"{name}.py").exists()}
    assert found <= set(RANK)


def test_the_test_can_fail(tmp_path):
    """An upward import, a sibling import and a connector that reaches too far are all noticed."""
    for module, line in [
        ("crmbridge.rules.x", "from crmbridge.publisher import decide"),
        ("crmbridge.rules.x", "from crmbridge.store import Store"),
        ("crmbridge.model", "import crmbridge.errors"),
        ("connectors.sources.a.x", "from connectors.sources.b import y"),
        ("connectors.sources.a.x", "from crmbridge.store import Store"),
        ("crmbridge.app", "import connectors.sources.sql"),
    ]:
        path = tmp_path / "x.py"
        path.write_text(line)
        assert violations(path, module), line


OWN = {"app.py", "reload.py", "config/config.py", "config/models.py", "config/reference.py"}
"""Who may speak of the feed, which is crmbridge's own, outside the feed."""
VENDORS = re.compile(
    r"slack|twitter|tweepy|salesforce|hubspot|odoo|tryton|pipedrive|oracle|microsoft|attio|espocrm|zoho|freshsales|suitecrm|dataverse|"
    r"mrkdwn|block.?kit|permalink",
    re.IGNORECASE,
)
LOGS_OF = "telemetry.py"
"""It keeps libraries' own logs off, and names them for that."""


def spoken(tree: ast.Module) -> list[tuple[int, str]]:
    """Every name and text that a module's code uses, with its line; docstrings are for people."""
    nodes = [node for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list)]
    words = {id(one.value) for node in nodes for one in node.body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)}
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in words:
                found.append((node.lineno, text))
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text) | ast.keyword(arg=str(text)):
                found.append((node.lineno, text))
            case ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text) | ast.ClassDef(name=text):
                found.append((node.lineno, text))
    return found


def of_vendors(path: Path, name: str) -> list[str]:
    """What a module of the core says that only a vendor's connector should know."""
    return [
        f"{name}:{line}: {text[:60]}"
        for line, text in spoken(ast.parse(path.read_text("utf-8")))
        if (VENDORS.search(text) and name != LOGS_OF) or ("chirp" in text.casefold() and name not in OWN)
    ]


def test_the_core_knows_no_vendor():
    """What is gone, whose address it is, which layouts exist, what is embedded: a connector says it, through the contract."""
    core = ROOT / "crmbridge"
    names = [path.relative_to(core).as_posix() for path in sorted(core.rglob("*.py"))]
    outside = ("chirp/", "cli/", "testing/", "assemble.py")
    assert [one for name in names if not name.startswith(outside) for one in of_vendors(core / name, name)] == []


def test_a_vendor_in_the_core_is_noticed(tmp_path):
    path = tmp_path / "x.py"
    for line in (
        'GONE = "message_not_found of Slack"',
        "def hubspot_page(): ...",
        "import x\nx.tryton.y()",
        'if one.name == "chirp": ...',
        "f(odoo=1)",
    ):
        path.write_text(f'"""Slack may be named here."""\n{line}\n')
        assert len(of_vendors(path, "publisher/x.py")) == 1, line
    path.write_text('"""Slack may be named here."""\n')
    assert of_vendors(path, "publisher/x.py") == []
