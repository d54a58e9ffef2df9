"""What proves a key: two values of it, and what each lets the outside see. Everything else of the two configurations is the same."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from flow.wire.keys import every_key, put

PROOFS: list["Proof"] = []


@dataclass(frozen=True)
class Proof:
    """Its `cases` are pairs: the key's value, and what is seen with it."""

    key: str
    cases: tuple[tuple[Any, Any], ...]
    stage: Any
    given: Mapping[str, Any]
    see: Callable[[Any], Any]

    @property
    def label(self) -> str:
        return f"{self.key} [{self.see.__name__}]"

    def observed(self, value: Any, folder: Path) -> Any:
        """What is seen where the key has `value`."""
        document = yaml.safe_load(self.stage.YAML)
        for dotted, other in self.given.items():
            put(document, tuple(int(part) if part.isdigit() else part for part in dotted.split("/")), copy.deepcopy(other))
        put(document, every_key()[self.key].way, copy.deepcopy(value))
        with self.stage(folder) as stage:
            stage.document(document)
            seen = self.see(stage)
            return json.loads(stage.anonymous(json.dumps(seen, default=str)))


def proofs_of(stage: Any) -> Callable[..., Any]:
    """The decorator of a module: `@proves(key, (value, seen), (value, seen), given={...})` above what looks.

    `given` changes the stage's YAML before the key's value is written, by paths like `sources/crm/types/Deal/size`.
    """

    def proves(key: str, *cases: tuple[Any, Any], given: Mapping[str, Any] | None = None) -> Callable[..., Any]:
        assert len(cases) >= 2, key

        def mark(see: Callable[[Any], Any]) -> Callable[[Any], Any]:
            PROOFS.append(Proof(key, tuple(cases), stage, given or {}, see))
            return see

        return mark

    return proves
