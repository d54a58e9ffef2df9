"""What is generated from the code: run this file to write it; test_generated.py holds it equal."""

import json
from pathlib import Path

from crmbridge import registry
from crmbridge.config.reference import json_schema, option_table, reference

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"


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
    return files


if __name__ == "__main__":
    for path, content in wanted().items():
        path.write_text(content, "utf-8")
