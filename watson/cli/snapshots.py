"""``datasets``: which there are, snapshots of them, and how two snapshots differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from watson.cli.help import add
from watson.cli.options import Json
from watson.cli.printing import one_line, print_json, print_rows
from watson.cli.session import command_settings, in_loop, open_catalogue, open_objects
from watson.errors import UserError
from watson.settings import Settings
from watson.snapshots import SHORT, Snapshot, SnapshotDifference, Taken, difference, find, snapshots, take
from watson.storage.catalogue import JobRow

__all__ = ["register"]

_TIME = "%Y-%m-%dT%H:%M"
_DATASETS = ("dataset", "jobs", "images", "snapshots", "newest snapshot")
_JOBS = ("job", "state", "images", "model", "submitted")
_SNAPSHOTS = ("snapshot", "taken", "images", "masks")
_CATEGORIES = ("category", "before", "after", "gained", "lost")


@dataclass(frozen=True, slots=True)
class _Dataset:
    """A dataset's jobs and snapshots, newest first."""

    name: str
    jobs: list[JobRow]
    snapshots: list[Snapshot]

    def to_json(self) -> dict[str, object]:
        return {
            "dataset": self.name,
            "jobs": [
                {
                    "job": row.job.job,
                    "state": row.job.state,
                    "model": row.job.model,
                    "images": row.counts.get("catalogued", 0),
                    "in_flight": row.in_flight,
                    "submitted_at": row.submitted_at.isoformat(),
                }
                for row in self.jobs
            ],
            "snapshots": [
                snapshot.model_dump(mode="json", include={"id", "created_at", "images", "masks", "partial"})
                for snapshot in self.snapshots
            ],
        }

    def cells(self) -> list[object]:
        images = sum(row.counts.get("catalogued", 0) for row in self.jobs)
        newest = self.snapshots[0].short if self.snapshots else "-"
        return [self.name, len(self.jobs), images, len(self.snapshots), newest]


def _list(as_json: Json = False) -> None:
    """List datasets: how many jobs and images each has, and the newest snapshot of it.

    Examples:
      watson datasets list
      watson datasets list --json
    """
    found = in_loop(_read(command_settings()))
    if as_json:
        print_json([dataset.to_json() for dataset in found])
    elif found:
        print_rows(_DATASETS, (dataset.cells() for dataset in found))
    else:
        typer.echo("no datasets yet: watson submit --help", err=True)


async def _read(settings: Settings) -> list[_Dataset]:
    async with open_catalogue(settings) as rows, open_objects(settings) as objects:
        jobs, taken = await rows.jobs(), await snapshots(objects)
    names = sorted({row.job.dataset for row in jobs} | {snapshot.dataset for snapshot in taken})
    return [
        _Dataset(
            name,
            [row for row in jobs if row.job.dataset == name],
            [snapshot for snapshot in taken if snapshot.dataset == name],
        )
        for name in names
    ]


def _show(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name, or a snapshot's id.")],
    as_json: Json = False,
) -> None:
    """Show a dataset's jobs and snapshots; or all that is recorded of one snapshot.

    Of a snapshot's id the first few digits are enough. A dataset goes before a snapshot of the same name.

    Examples:
      watson datasets show street
      watson datasets show 3f9a51c07be2 --json
    """

    async def show(settings: Settings) -> _Dataset | Snapshot:
        found = {dataset.name: dataset for dataset in await _read(settings)}
        if name in found:
            return found[name]
        async with open_objects(settings) as objects:
            try:
                return await find(objects, name)
            except UserError as exc:
                raise UserError(f"there is no dataset {name!r}, and {exc}") from exc

    shown = in_loop(show(command_settings()))
    if isinstance(shown, Snapshot):
        _show_snapshot(shown, as_json=as_json)
    elif as_json:
        print_json(shown.to_json())
    else:
        print_rows(_JOBS, map(_job_cells, shown.jobs))
        if shown.snapshots:
            typer.echo("")
            print_rows(_SNAPSHOTS, map(_snapshot_cells, shown.snapshots))


def _job_cells(row: JobRow) -> list[object]:
    images = row.counts.get("catalogued", 0)
    return [row.job.job, row.job.state, images, row.job.model, row.submitted_at.strftime(_TIME)]


def _snapshot_cells(snapshot: Snapshot) -> list[object]:
    return [snapshot.short, snapshot.created_at.strftime(_TIME), snapshot.images, snapshot.masks]


def _show_snapshot(snapshot: Snapshot, *, as_json: bool) -> None:
    if as_json:
        print_json(snapshot.model_dump(mode="json"))
        return
    print_rows(("what", ""), _facts(snapshot))


def _facts(snapshot: Snapshot) -> Iterator[list[object]]:
    yield ["snapshot", snapshot.id]
    yield ["dataset", snapshot.dataset]
    yield ["taken", f"{snapshot.created_at.strftime(_TIME)} by Watson {snapshot.code_version}"]
    yield ["images", snapshot.images]
    yield ["masks", snapshot.masks]
    yield ["size", f"{snapshot.size} bytes, {len(snapshot.parts)} parts"]
    if snapshot.partial:
        yield ["partial", "a job was not done when it was taken"]
    for model in snapshot.models:
        yield ["model", f"{model.model}, weights {model.weights_sha256[:SHORT]}…, {model.images} images"]
    for job in snapshot.jobs:
        rules = job.options.rules
        wanted = "all categories" if rules.categories is None else ", ".join(rules.categories)
        yield ["job", f"{job.job} ({job.state}): {job.images} images of {job.source.uri}, {job.superseded} superseded"]
        yield ["rules", f"least score {rules.least_score:g}, least area {rules.least_area:g}, {wanted}"]
    for category, masks in sorted(snapshot.categories.items(), key=lambda item: (-item[1], item[0])):
        yield ["category", f"{category}: {masks}"]


def _snapshot(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of the dataset.")],
    job: Annotated[
        list[str] | None, typer.Option("--job", "-j", metavar="JOB", help="Only this job; repeat it for several.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also of jobs that are not done, as far as they are.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take a snapshot of a dataset: immutable, and named by the hash of its content.

    Prints the snapshot's id. The same pictures with the same masks have the same id, whenever and wherever it is taken.
    Where several jobs of the dataset have one picture, the masks of the newest one are taken.

    Examples:
      watson datasets snapshot street
      watson datasets snapshot street --job street-1a2b3c4d
    """

    async def snapshot(settings: Settings) -> Taken:
        console = Console(stderr=True)
        async with open_catalogue(settings) as rows, open_objects(settings) as objects:
            with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
                bar = progress.add_task("images", total=None)
                return await take(
                    rows,
                    objects,
                    dataset,
                    jobs=job or (),
                    partial=partial,
                    on_progress=lambda images: progress.update(bar, completed=images),
                )

    done = in_loop(snapshot(command_settings()))
    taken = done.snapshot
    if as_json:
        print_json(taken.model_dump(mode="json") | {"new": done.new})
        return
    typer.echo(taken.id)
    said = f"{taken.images} images, {taken.masks} masks of {len(taken.categories)} categories"
    typer.echo(said if done.new else f"{said}; the same content was taken before", err=True)
    for one in taken.jobs:
        if one.superseded:
            typer.echo(f"{one.superseded} images of job {one.job} are superseded by a newer job's", err=True)


def _diff(
    before: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="A snapshot's id, or the first digits of it.")],
    after: Annotated[str, typer.Argument(metavar="OTHER", help="Likewise: what it became.")],
    most: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Images named at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Compare two snapshots: images and masks that came, went or changed.

    A mask is the same if the same model found it in the same picture; to compare what two models found, mask by mask,
    use watson diff. Ends with 0 also where they differ.

    Examples:
      watson datasets diff 3f9a51c07be2 b81e6d20f4aa
      watson datasets diff 3f9a51c07be2 b81e6d20f4aa --json
    """

    async def compare(settings: Settings) -> SnapshotDifference:
        async with open_objects(settings) as objects:
            return await difference(objects, await find(objects, before), await find(objects, after), examples=most)

    found = in_loop(compare(command_settings()))
    if as_json:
        print_json(_difference_json(found))
        return
    names = found.before.categories | found.after.categories
    print_rows(_CATEGORIES, (_category_cells(found, name) for name in sorted(names)))
    for image in found.examples:
        typer.echo(f"{','.join(image.changes)}\t{one_line(image.uri)}")
    typer.echo(_verdict(found), err=True)


def _difference_json(found: SnapshotDifference) -> dict[str, object]:
    return {
        "before": found.before.id,
        "after": found.after.id,
        "same": found.same,
        "images": {kind: found.images[kind] for kind in ("gained", "lost", "changed", "unchanged")},
        "changes": dict(found.changes),
        "categories": {
            name: {
                "before": found.before.categories.get(name, 0),
                "after": found.after.categories.get(name, 0),
                "gained": found.gained[name],
                "lost": found.lost[name],
            }
            for name in sorted(found.before.categories | found.after.categories)
        },
        "examples": [asdict(example) for example in found.examples],
    }


def _category_cells(found: SnapshotDifference, name: str) -> list[object]:
    before, after = found.before.categories.get(name, 0), found.after.categories.get(name, 0)
    return [name, before, after, found.gained[name], found.lost[name]]


def _verdict(found: SnapshotDifference) -> str:
    if found.same:
        return f"the same: {found.images['unchanged']} images"
    counts = ", ".join(f"{found.images[kind]} {kind}" for kind in ("gained", "lost", "changed", "unchanged"))
    why = ", ".join(f"{change} of {number}" for change, number in sorted(found.changes.items()))
    return f"images: {counts}" + (f" ({why})" if why else "")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    datasets = typer.Typer(help="List datasets; take, show and compare snapshots of them.", no_args_is_help=True)
    add(datasets, "list", _list)
    add(datasets, "show", _show)
    add(datasets, "snapshot", _snapshot)
    add(datasets, "diff", _diff)
    app.add_typer(datasets, name="datasets")
