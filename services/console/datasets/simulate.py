"""`freshet simulate`: a shop's log as a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from services.console.datasets.dataset import Dataset, DatasetItem, Interaction, write_dataset
from services.console.datasets.published import INTERACTIONS_FILE, ITEMS_FILE
from services.console.failures import CommandFailed
from services.console.number_options import Real, Whole
from services.console.output import Output, json_option

if TYPE_CHECKING:
    from deploy.local.shop.catalogue import Catalogue
    from deploy.local.shop.history import PastBehaviour

DOMAIN = "e-commerce"


@click.command(short_help="Write a data set of a simulated shop.")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--events", type=Whole(1), default=60_000, show_default=True, help="How many.")
@click.option("--shoppers", type=Whole(1), default=500, show_default=True, help="How many.")
@click.option("--items", type=Whole(1), default=300, show_default=True, help="How many.")
@click.option(
    "--taste-shift",
    "shift",
    type=Real(0, 1, min_open=True, max_open=True),
    help="Share of the events after which everybody's taste and what is in fashion are drawn anew; by default never.",
)
@click.option(
    "--new-items",
    "new_share",
    type=Real(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Share of the items that is sold from the shift on only.",
)
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of everything drawn.")
@click.option("--overwrite", is_flag=True, help="Write over a data set that is there already.")
@json_option
def simulate(directory: Path, overwrite: bool, as_json: bool, **chosen: Any) -> None:
    """Write what simulated shoppers did in two weeks into DIRECTORY, as `freshet replay` and `freshet evaluate` read
    it. The same options write the same files.

    Shoppers have tastes that drift, look at lists from the top, click, put into the cart and buy. Events mean what
    the preset e-commerce says.

    \b
    Example:
      freshet simulate /tmp/shop --taste-shift 0.6 --new-items 0.2
      freshet evaluate --data /tmp/shop --domain e-commerce --protocol prequential
    """
    # The shop is for developers' machines.
    from deploy.local.shop.catalogue import possible_titles
    from deploy.local.shop.simulation import Simulation, SoldOutError, simulate

    if chosen["items"] > (most := len(possible_titles())):
        raise click.UsageError(f"--items must be at most {most:,}: the shop has no more titles")
    if chosen["new_share"] and chosen["shift"] is None:
        raise click.UsageError("--new-items come with --taste-shift: give the share of the events before it")
    if not overwrite:
        _refuse_to_overwrite(directory)
    try:
        dataset = dataset_of(directory.name, *simulate(Simulation(**chosen)))
        write_dataset(dataset, directory)
    except SoldOutError as error:
        raise CommandFailed(str(error)) from error
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{directory} cannot be written: {error}") from error
    _tell(dataset, directory, Output(as_json), chosen)


def _refuse_to_overwrite(directory: Path) -> None:
    """Raises CommandFailed naming a file that would be lost."""
    for file in (directory / ITEMS_FILE, directory / INTERACTIONS_FILE):
        if file.exists():
            raise CommandFailed(f"{file} is there already: choose another directory, or --overwrite")


def dataset_of(name: str, catalogue: "Catalogue", log: "list[PastBehaviour]") -> Dataset:
    """A shop's log as a data set; a category and a style are an item's genres."""
    from deploy.local.shop.traffic import item_of

    items = [item_of(catalogue, number) for number in range(len(catalogue))]
    interactions = [
        Interaction(
            past.shopper.user_id,
            catalogue.item_ids[item],
            past.time.timestamp(),
            float("nan") if past.behaviour.value is None else past.behaviour.value,
            past.behaviour.event_type,
        )
        for past in log
        for item in past.behaviour.items
    ]
    rows = [DatasetItem(item.item_id, item.title, tuple(item.categories)) for item in items]
    return Dataset(name, rows, interactions)


def _tell(dataset: Dataset, directory: Path, output: Output, chosen: dict[str, Any]) -> None:
    events = len(dataset.interactions)
    users = len({row.user for row in dataset.interactions})
    table = Table("", "", title="Simulated shop", show_header=False)
    for name, count in (("items", len(dataset.items)), ("events", events), ("shoppers", users)):
        table.add_row(name, f"{count:,}")
    document = {
        "directory": str(directory),
        "domain": DOMAIN,
        "events": events,
        "users": users,
        "settings": chosen,
    }
    output.result(document, table, [f"judge it with --data {directory} --domain {DOMAIN}"])
