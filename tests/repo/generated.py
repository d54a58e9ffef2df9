"""What is generated from the code: run this file to write it; test_generated.py holds it equal."""

import importlib
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from crmbridge import registry
from crmbridge.config.reference import default_words, json_schema, option_table, reference, type_words
from crmbridge.config.rule_models import RuleModel, StepModel
from crmbridge.hooks import senders
from crmbridge.rules.filters import FILTERS
from crmbridge.testing import Can, SourceContract
from crmbridge.troubles.find import find
from crmbridge.troubles.trouble import Code

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"
RULE_BEGIN, RULE_END = "<!-- keys of a rule: begin -->", "<!-- keys of a rule: end -->"
STEP_BEGIN, STEP_END = "<!-- keys of a step: begin -->", "<!-- keys of a step: end -->"
FILTERS_BEGIN, FILTERS_END = "<!-- filters: begin -->", "<!-- filters: end -->"
TROUBLES_BEGIN, TROUBLES_END = "<!-- troubles: begin -->", "<!-- troubles: end -->"
ANSWERS_BEGIN, ANSWERS_END = "<!-- answers: begin -->", "<!-- answers: end -->"
SENDERS_BEGIN, SENDERS_END = "<!-- senders: begin -->", "<!-- senders: end -->"
SOURCES_BEGIN, SOURCES_END = "<!-- sources: begin -->", "<!-- sources: end -->"


def wanted() -> dict[Path, str]:
    """Every generated file with the content that it must have."""
    files = {
        ROOT / "config" / "crmbridge.yaml": reference(),
        ROOT / "config" / "schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }
    for kind in registry.KINDS:
        for name in registry.names(kind):
            path = ROOT / "connectors" / kind / name / "README.md"
            before, _, rest = path.read_text("utf-8").partition(BEGIN)
            files[path] = f"{before}{BEGIN}\n{option_table(registry.load(kind, name))}\n{END}{rest.partition(END)[2]}"
            before, answers, rest = files[path].partition(ANSWERS_BEGIN)
            if answers and (table := getattr(importlib.import_module(f"{registry.module(kind, name)}.errors"), "answer_table", None)):
                # a connector whose code itself says what each answer of its vendor means
                files[path] = f"{before}{ANSWERS_BEGIN}\n{table()}\n{ANSWERS_END}{rest.partition(ANSWERS_END)[2]}"
    path = ROOT / "connectors" / "sources" / "webhook" / "README.md"
    before, _, rest = files[path].partition(SENDERS_BEGIN)
    files[path] = f"{before}{SENDERS_BEGIN}\n{senders.table()}\n{SENDERS_END}{rest.partition(SENDERS_END)[2]}"
    path = ROOT / "connectors" / "README.md"
    before, _, rest = path.read_text("utf-8").partition(SOURCES_BEGIN)
    files[path] = f"{before}{SOURCES_BEGIN}\n{source_table()}\n{SOURCES_END}{rest.partition(SOURCES_END)[2]}"
    path = ROOT / "crmbridge" / "troubles" / "README.md"
    before, _, rest = path.read_text("utf-8").partition(TROUBLES_BEGIN)
    files[path] = f"{before}{TROUBLES_BEGIN}\n{trouble_table()}\n{TROUBLES_END}{rest.partition(TROUBLES_END)[2]}"
    path = ROOT / "crmbridge" / "rules" / "README.md"
    before, _, rest = path.read_text("utf-8").partition(FILTERS_BEGIN)
    files[path] = f"{before}{FILTERS_BEGIN}\n{filter_table()}\n{FILTERS_END}{rest.partition(FILTERS_END)[2]}"
    for begin, end, model in ((RULE_BEGIN, RULE_END, RuleModel), (STEP_BEGIN, STEP_END, StepModel)):
        before, _, rest = files[path].partition(begin)
        files[path] = f"{before}{begin}\n{key_table(model)}\n{end}{rest.partition(end)[2]}"
    return files


def key_table(model: type[BaseModel]) -> str:
    """The keys of a part of the configuration."""
    lines = [
        f"| `{info.alias or name}` | {type_words(info.annotation)} | {default_words(info)} | {info.description} |"
        for name, info in model.model_fields.items()
    ]
    return "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *lines])


def filter_table() -> str:
    """Each filter with its sentence."""
    lines = [
        f"| `{name}` | {(filter.__doc__ or '').partition(chr(10))[0].replace('|', chr(92) + '|')} |"
        for name, filter in sorted(FILTERS.items())
    ]
    return "\n".join(["| filter | what it makes |", "| --- | --- |", *lines])


def trouble_table() -> str:
    """Each kind of trouble with an example of its words."""
    spec = importlib.util.spec_from_file_location("troubles_of_tests", ROOT / "tests" / "unit" / "test_troubles.py")
    sys.path.insert(0, str(ROOT / "tests"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shown = {}
    for code, _, facts in module.TROUBLES:
        (found,) = find(replace(module.GOOD, **facts))
        shown.setdefault(code, f"| `{code}` | {found.severity} | {found.what} | {found.do} |")
    lines = [shown[code] for code in Code]
    return "\n".join(["| code | severity | for example | to do |", "| --- | --- | --- | --- |", *lines])


def source_table() -> str:
    """Each source with what its tests show."""
    suites = suites_of_sources()
    words = [Can.POLL, Can.WEBHOOK, Can.OLD_VALUES, Can.DELETES, Can.MERGES, Can.TEAMS, Can.SCHEMA]
    lines = [f"| source | {' | '.join(words)} | proven against |", "| --- " * (len(words) + 2) + "|"]
    for name in registry.names("sources"):
        can = frozenset[Can]().union(*(suite.can for suite in suites.get(name, ())))
        proven = ", ".join(dict.fromkeys(map(proof, suites.get(name, ())))) or "nothing"
        cells = ["signed" if word is Can.WEBHOOK and Can.SIGNED in can else "yes" if word in can else "-" for word in words]
        lines.append(f"| [{name}](sources/{name}/) | {' | '.join(cells)} | {proven} |")
    return "\n".join(lines)


def proof(suite: type[SourceContract]) -> str:
    """Against what a suite runs; a stand-in that was written from documents alone proves nothing of the vendor."""
    documents = suite.connector.documents
    if suite.proven != SourceContract.proven or not documents:
        return suite.proven
    return f"unproven: [document]({documents[0].url}), {max(one.read for one in documents)}"


def suites_of_sources() -> dict[str, list[type[SourceContract]]]:
    """The classes that pytest runs, by the source that they prove."""
    sys.path.insert(0, str(ROOT / "tests"))
    found: dict[str, list[type[SourceContract]]] = {}
    for path in sorted((ROOT / "tests" / "connectors" / "sources").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"suite_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, one in vars(module).items():
            if name.startswith("Test") and isinstance(one, type) and issubclass(one, SourceContract):
                found.setdefault(one.connector.name, []).append(one)
    return found


if __name__ == "__main__":
    for path, content in wanted().items():
        path.write_text(content, "utf-8")
