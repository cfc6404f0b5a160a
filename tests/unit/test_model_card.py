"""Model cards as huggingface_hub reads them: grams, and words that stay words."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from jupyter_green.events import CounterLost, Machine
from jupyter_green.report import inert
from jupyter_green.report.exports import model_card
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.golden.digest import journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import EVERY, FRANCE, MODEL, Story, training

GOLDEN = [path for path in journals() if path.stem != "newer_major"]


def emissions(session: Session) -> dict[str, Any] | None:
    card = ModelCard(model_card.render(session), ignore_metadata_errors=False)
    told: dict[str, Any] | None = card.data.to_dict().get("co2_eq_emissions")
    return told


@pytest.mark.parametrize("journal", GOLDEN, ids=lambda path: path.stem)
def test_grams_are_the_folds(journal: Path) -> None:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    session = fold.session()
    grams, told = session.co2_g(session.total), emissions(session)
    assert (told is None) == (grams is None)
    if told is not None:
        assert told["emissions"] == grams
        assert isinstance(told["emissions"], float)


def test_all_that_the_hub_asks_for() -> None:
    machine = Machine(cpu="Xeon", cores=4)
    story = Story(intensity=FRANCE, machine=machine)
    story.cell("fit()", technique="Fine tuning")
    told = emissions(story.close())

    assert told is not None
    assert told["emissions"] == pytest.approx(12 / 3.6e6 * 44)
    assert told["training_type"] == "fine-tuning"
    assert told["geographical_location"] == "France"
    assert told["hardware_used"] == "Xeon (4 logical cores)"
    assert "measured" in told["source"]
    assert "failed and superseded runs included" in told["source"]
    assert "44 g/kWh, lifecycle" in told["source"]


def test_a_training_type_that_nobody_told_is_left_out() -> None:
    told = emissions(training())
    assert told is not None
    assert "training_type" not in told
    assert "hardware_used" not in told


def test_modelled_and_lower_bounds_are_said() -> None:
    story = Story(MODEL, intensity=FRANCE)
    story.sleep(1.0)
    story.feed(CounterLost(t=1.0, counter="cpu-model", since=0.5, reason="gone"))
    told = emissions(story.close())
    assert told is not None
    assert "modelled; lower bound: cpu-model missing" in told["source"]


def test_without_a_figure_there_is_no_metadata() -> None:
    for session in (training(intensity=None), Story(unread=EVERY, intensity=FRANCE).close()):
        made = model_card.render(session)
        assert "co2_eq_emissions" not in made
        assert made.startswith("## Environmental impact")


@pytest.mark.parametrize("value", [3e-05, 4e-10, 1e22, 0.0, 12.5, 1 / 3])
def test_numbers_are_numbers_for_yaml(value: float) -> None:
    assert yaml.safe_load(model_card.number(value)) == value


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_hostile_text_is_text(text: str) -> None:
    told = emissions(evil(text))
    assert told is not None
    assert set(told) <= {
        *("emissions", "source", "training_type", "geographical_location", "hardware_used")
    }
    place = inert.short(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    assert told.get("geographical_location", "") == place
    assert len(told["source"]) < 2000
