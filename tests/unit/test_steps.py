"""Why a budget has ended something, in words."""

import pytest

from jupyter_green.studies.steps import budget_words


@pytest.mark.parametrize(
    ("used_j", "modelled", "said"),
    [
        (99.2, False, "99.2 J of the budget of 100 J are used, and the next step would exceed it"),
        (100.2, False, "the budget of 100 J is used up"),
        (100.2, True, "the budget of 100 J is used up (modelled)"),
        (104, False, "104 J are used, more than the budget of 100 J"),
        (104, True, "104 J (modelled) are used, more than the budget of 100 J"),
    ],
)
def test_why_a_budget_ended_a_loop(used_j: float, modelled: bool, said: str) -> None:
    assert budget_words(used_j * 1e6, 100_000_000, modelled, "step") == said
