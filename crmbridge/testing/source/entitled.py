"""Tests of rights: each right can be taken away, is named then, and costs no more than it says."""

from __future__ import annotations

from typing import Any

from crmbridge.contract import Entitled, Right
from crmbridge.errors import SourceError
from crmbridge.testing.source.parts import Can, SourceParts, needs
from crmbridge.testing.standin import StandIn
from crmbridge.testing.world import World


def lacking(world: World) -> dict[str, Right]:
    """Return the rights that the login lacks, or of which something is to be said, by name."""
    return {one.name: one for one in world.call(world.source.rights) if one.refused or one.note}


class RightsContract(SourceParts):
    """The tests of what a source says about its login's rights."""

    def test_who_claims_rights_can_prove_them(self, world: World) -> None:
        assert isinstance(world.source, Entitled) is (Can.RIGHTS in self.can)

    @needs(Can.RIGHTS)
    def test_each_right_can_be_withdrawn_and_is_named(self, world: World, crm: StandIn) -> None:
        """Expect each withdrawn right to be named by itself, with what is lost. Given again, it is no longer named."""
        self.begun(crm, world)
        claimed: list[Right] = world.call(world.source.rights)
        assert claimed
        assert len({one.name for one in claimed}) == len(claimed)
        assert not any(one.refused for one in claimed)
        noted = lacking(world)
        for right in claimed:
            if right.name in noted:  # the right cannot be had here, which is no trouble
                continue
            crm.withdraw(right.name)
            found = lacking(world)
            assert found.keys() - noted.keys() == {right.name}
            assert (found[right.name].promise, bool(found[right.name].lost)) == (right.promise, True)
            self.shows_no_secret(repr(found))
            crm.give(right.name)
            assert lacking(world) == noted

    @needs(Can.RIGHTS)
    def test_a_right_that_lacks_costs_no_more_than_it_says(self, make: Any, worlds: Any, world: World, crm: StandIn) -> None:
        """Expect changes to be told without a right, at a first start and later. If they cannot be told, `check` must say so."""
        stages = iter(["won", "open"] * 50)
        id = self.begun(crm, world)
        for right in world.call(world.source.rights):
            crm.withdraw(right.name)
            another = worlds(make())
            if not self._objects(another):
                assert another.poll() == []
                crm.tick(120)
                crm.update(id, stage=(stage := next(stages)))
                assert [self.says(one.poll()[-1], "stage") for one in (world, another)] == [stage, stage]
            crm.give(right.name)

    @staticmethod
    def _objects(world: World) -> bool:
        """Say whether `check` reports that nothing can be read."""
        try:
            world.call(world.source.check)
        except SourceError:
            return True
        return False
