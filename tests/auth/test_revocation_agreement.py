from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auth.revoking import Gateway, World
from ttagw.auth.revocation_copy import RECONCILE
from ttagw.auth.revocation_entries import decode
from ttagw.errors import NotStoredError

USERS = "ab"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_happens_all_agree_in_the_end_and_nothing_accepted_is_lost(data: st.DataObject) -> None:
    world = World(3)
    accepted: dict[str, float] = {}
    """The moment that must be in effect at least, -1 for what was lifted."""
    for _ in range(data.draw(st.integers(1, 25))):
        world.clock.advance(data.draw(st.sampled_from([0.0, 0.3, 3.0])))
        what = data.draw(st.sampled_from(["revoke", "revoke", "lift", "away", "back", "lose", "mute", "hear"]))
        gateway = data.draw(st.sampled_from(world.gateways))
        user = data.draw(st.sampled_from(USERS))
        if what in ("revoke", "lift"):
            change(gateway, what, user, accepted)
        elif what == "away":
            world.store.away()
        elif what == "back":
            world.store.back()
        elif what == "lose" and not world.store.state.up:
            # It loses what it has when it dies, not while it answers; who could not hear of it cannot make up for it.
            if not world.store.mute:
                world.store.lose()
        else:
            world.store.mute = what == "mute"
            if what == "hear":
                world.pass_(RECONCILE + 1)
    world.store.mute = False
    world.store.back()
    world.pass_(2 * RECONCILE + 1)
    for user in USERS:
        found = {decode(value) for value in world.store.values()}
        entries = {each.revocations.find("user", user) for each in world.gateways}
        assert len(entries) == 1
        [entry] = entries
        wanted = accepted.get(user, -1.0)
        assert (None if entry is None else entry.moment) == (None if wanted < 0 else wanted)
        assert entry is None or entry in found
    world.end()


def change(gateway: Gateway, what: str, user: str, accepted: dict[str, float]) -> None:
    try:
        if what == "revoke":
            moment = gateway.revoke("user", user).moment
            assert moment == gateway.wall()
            accepted[user] = moment
        else:
            assert gateway.lift("user", user) == (accepted.get(user, -1.0) >= 0)
            accepted[user] = -1.0
    except NotStoredError:
        assert not gateway.store.state.up
