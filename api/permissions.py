"""What may this caller do with this dataset: every route asks here."""

from collections.abc import Callable, Sequence
from enum import IntEnum

from api.auth import Caller
from api.db.datasets import find_dataset, find_datasets
from api.db.models import Dataset
from api.errors import AppError


class Right(IntEnum):
    """Each includes those before it. WORK: read, upload, parse, edit chunks, ask. OWN: settings and deletion."""

    NONE = 0
    WORK = 1
    OWN = 2


def right_to(caller: Caller, dataset: Dataset | None) -> Right:
    """The one answer: owners own; members of the owner's team work in datasets that are shared with the team."""
    if dataset is None:
        return Right.NONE
    if dataset.tenant_id == caller.tenant_id:
        return Right.OWN
    if dataset.permission == "team" and dataset.tenant_id in caller.team_ids:
        return Right.WORK
    return Right.NONE


def get_dataset(caller: Caller, dataset_id: str, right: Right, refusal: AppError) -> Dataset:
    """A dataset the caller has this right to, or `refusal`: unknown and foreign are not told apart."""
    dataset = find_dataset(dataset_id)
    if dataset is None or right_to(caller, dataset) < right:
        raise refusal
    return dataset


def get_datasets(
    caller: Caller, ids: Sequence[str], right: Right, refuse: Callable[[str], AppError]
) -> list[Dataset]:
    """The datasets in the order of the ids, or `refuse(id)` of the first that the caller has no such right to."""
    found = find_datasets(ids)
    for dataset_id in ids:
        if right_to(caller, found.get(dataset_id)) < right:
            raise refuse(dataset_id)
    return [found[dataset_id] for dataset_id in ids]


def visible_tenants(caller: Caller) -> Sequence[str]:
    """Tenants whose datasets may be visible to the caller: its own first."""
    return [caller.tenant_id, *sorted(caller.team_ids)]
