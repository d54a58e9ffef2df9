"""What people should know of a step before they rely on it, as the network that it speaks to has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crmbridge.config.rule_models import DefaultsModel, StepModel
from crmbridge.config.surroundings import RuleSource
from crmbridge.contract import Spoken
from crmbridge.errors import Problem
from crmbridge.rules.template import own_words


def remarks(rules: Sequence[RuleSource], destinations: Mapping[str, Any], defaults: DefaultsModel) -> list[Problem]:
    """Collect the remarks of each step's connector, where the step stands. `destinations` are the configured ones by name."""
    return [
        source.place.at("publish", index).problem(words)
        for source in rules
        for index, step in enumerate(source.model.publish)
        if (to := destinations.get(step.to)) is not None
        for words in to.connector.remarks(to.options, _spoken(step, defaults))
    ]


def _spoken(step: StepModel, defaults: DefaultsModel) -> Spoken:
    return Spoken(
        words=own_words(step.text),
        link=(step.link or defaults.link) is not None,
        thread=(step.thread or defaults.thread) is not None or step.on_update == "thread",
    )
