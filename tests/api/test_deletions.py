"""Which ids a deletion takes, and what it says of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.deletions import plan_deletion
from api.errors import NotFound

IDS = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(IDS, st.sets(st.sampled_from("abc")))
def test_every_id_is_deleted_once_or_told(wanted: list[str], existing: set[str]) -> None:
    unknown = [id for id in dict.fromkeys(wanted) if id not in existing]
    if unknown and not existing & set(wanted):
        with pytest.raises(NotFound, match="; ".join(f"no {id}" for id in unknown)):
            plan_deletion(wanted, existing, unknown="no {id}", duplicate="twice {id}")
        return
    plan = plan_deletion(wanted, existing, unknown="no {id}", duplicate="twice {id}")
    assert sorted(plan.ids) == sorted(existing & set(wanted))
    if unknown:
        assert plan.errors == [f"no {id}" for id in unknown]
    else:
        assert set(plan.errors) == {f"twice {id}" for id in wanted if wanted.count(id) > 1}
    assert plan.report == ({"success_count": len(plan.ids), "errors": plan.errors} if plan.errors else None)
