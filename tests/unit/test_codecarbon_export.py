"""CodeCarbon's emissions.csv: its columns, its units, and what it would write as 0 left empty."""

import csv
import io
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from msgspec import structs

from jupyter_green.carbon.tables import intensity_of
from jupyter_green.events import CounterLost, Machine, Pricing, PricingChanged
from jupyter_green.report.exports import codecarbon
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.golden.digest import journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import DRAM, EVERY, FRANCE, MODEL, PACKAGE, Story, training

GOLDEN = [path for path in journals() if path.stem != "newer_major"]

# Fields of codecarbon.output_methods.emissions_data.EmissionsData in CodeCarbon 3.3.0, in order.
PUBLISHED = (
    *(
        "timestamp",
        "project_name",
        "run_id",
        "experiment_id",
        "duration",
        "emissions",
        "emissions_rate",
        "cpu_power",
        "gpu_power",
    ),
    *(
        "ram_power",
        "cpu_energy",
        "gpu_energy",
        "ram_energy",
        "energy_consumed",
        "water_consumed",
        "country_name",
    ),
    *(
        "country_iso_code",
        "region",
        "cloud_provider",
        "cloud_region",
        "os",
        "python_version",
        "codecarbon_version",
        "cpu_count",
    ),
    *(
        "cpu_model",
        "gpu_count",
        "gpu_model",
        "longitude",
        "latitude",
        "ram_total_size",
        "tracking_mode",
    ),
    *(
        "cpu_utilization_percent",
        "gpu_utilization_percent",
        "ram_utilization_percent",
        "ram_used_gb",
        "on_cloud",
        "pue",
    ),
    "wue",
)


def row(session: Session) -> dict[str, Any]:
    """The one row, as CodeCarbon itself reads its file; what is empty is left out."""
    made = codecarbon.render(session)
    frame = pd.read_csv(io.StringIO(made))
    assert len(frame) == 1
    read: dict[str, Any] = frame.iloc[0].dropna().to_dict()
    # Older versions of pandas read a float to the last digit but one.
    (exact,) = csv.DictReader(io.StringIO(made))
    for name, value in read.items():
        if isinstance(value, float):
            assert value == pytest.approx(float(exact[name]), rel=1e-14)
            read[name] = float(exact[name])
    return read


def test_columns_and_their_order_are_codecarbons() -> None:
    assert codecarbon.render(training()).splitlines()[0] == ",".join(PUBLISHED)


@pytest.mark.parametrize("journal", GOLDEN, ids=lambda path: path.stem)
def test_totals_are_the_folds(journal: Path) -> None:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    session = fold.session()
    read = row(session)
    grams = session.co2_g(session.total)

    assert read.get("emissions") == (None if grams is None else grams / 1000)
    assert read.get("energy_consumed") == codecarbon.consumed_kwh(session)
    assert read["duration"] == session.duration_s
    assert read["run_id"] == session.id
    if grams is not None and len({p.intensity for p in session.periods}) == 1:
        # As in CodeCarbon, nothing but the intensity lies between the two.
        kg_per_kwh = session.periods[0].intensity.g_per_kwh / 1000  # type: ignore[union-attr]
        assert read["emissions"] == pytest.approx(read["energy_consumed"] * kg_per_kwh)


def test_units() -> None:
    read = row(training(intensity=intensity_of("FR"), project="thesis"))

    # 300 J in 25 s, of them 250 J by the package.
    assert read["energy_consumed"] == 300 / 3.6e6
    assert read["cpu_energy"] == pytest.approx(250 / 3.6e6)
    assert read["ram_energy"] == pytest.approx(50 / 3.6e6)
    assert (read["cpu_power"], read["ram_power"]) == (pytest.approx(10), pytest.approx(2))
    assert read["emissions_rate"] == pytest.approx(read["emissions"] / 25)
    assert (read["country_name"], read["country_iso_code"]) == ("France", "FRA")
    assert (read["project_name"], read["tracking_mode"], read["pue"]) == ("thesis", "machine", 1)


def test_energies_hold_the_pue_as_codecarbons_do() -> None:
    plain, doubled = row(training()), row(training().with_pue(2.0))

    for name in ("energy_consumed", "cpu_energy", "ram_energy", "emissions"):
        assert doubled[name] == pytest.approx(2 * plain[name]), name
    assert doubled["cpu_power"] == plain["cpu_power"]
    assert doubled["pue"] == 2.0


def test_a_pue_that_changed_leaves_the_sum_exact_and_the_parts_unknown() -> None:
    story = Story(intensity=FRANCE)
    story.sleep(1.0)
    story.feed(PricingChanged(pricing=Pricing(pue=2.0), **story.stamp()))
    story.sleep(1.0)
    read = row(story.close())

    assert read["energy_consumed"] == pytest.approx((12 + 2 * 12) / 3.6e6)
    assert not {"pue", "cpu_energy", "ram_energy"} & set(read)


def test_what_is_not_known_is_empty() -> None:
    story = Story(unread=EVERY, intensity=FRANCE)
    story.cell("x")
    read = row(story.close())

    energies = {name for name in PUBLISHED if "energy" in name or "power" in name}
    unknown = {"emissions", "emissions_rate", "water_consumed", "wue", "longitude", "on_cloud"}
    assert not (energies | unknown) & set(read)
    assert "no energy counter could be read" in read["codecarbon_version"]
    assert "gpu_energy" not in row(training())
    assert "emissions" not in row(training(intensity=None))


def test_modelled_and_lower_bounds_are_said() -> None:
    story = Story(MODEL, PACKAGE)
    story.sleep(1.0)
    story.feed(CounterLost(t=1.0, counter="cpu-model", since=0.5, reason="gone"))
    told = row(story.close())["codecarbon_version"]
    assert told.startswith("jupyter_green ")
    assert "modelled" in told
    assert "lower bound: cpu-model missing" in told
    assert row(training())["codecarbon_version"].endswith("(measured)")


def test_machine() -> None:
    machine = Machine(system="Linux 6.1", cpu="Xeon", cores=8, memory_bytes=2**34, python="3.11.7")
    card = structs.replace(DRAM, name="dram-0", domain="gpu", device="A100", scope="device")
    story = Story(PACKAGE, card, machine=machine)
    story.sleep(1.0)
    read = row(story.close())

    assert (read["os"], read["python_version"]) == ("Linux 6.1", "3.11.7")
    assert (read["cpu_model"], read["cpu_count"], read["ram_total_size"]) == ("Xeon", 8, 16)
    assert (read["gpu_model"], read["gpu_count"]) == ("1 x A100", 1)
    assert read["gpu_power"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("gcp:europe-west9", {"cloud_provider": "gcp", "cloud_region": "europe-west9"}),
        ("US-CA", {}),
        ("world", {}),
    ],
)
def test_places_that_are_no_country(place: str, fields: dict[str, str]) -> None:
    intensity = intensity_of(place)
    read = row(training(intensity=intensity))

    assert read["region"] == intensity.place
    assert "country_iso_code" not in read
    names = ("cloud_provider", "cloud_region")
    assert {name: read[name] for name in names if name in read} == fields
    assert ("on_cloud" in read) == bool(fields)


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_hostile_text_stays_in_its_cell(text: str) -> None:
    made = codecarbon.render(evil(text))
    assert len(made.splitlines()) == 2
    read = row(evil(text))
    assert math.isclose(read["duration"], 1.0)
    assert all(len(value) < 1000 for value in read.values() if isinstance(value, str))
