"""``jupyter green techniques`` as a user has it."""

import pytest

from jupyter_green.insight.catalogue import techniques

from .test_cli import Home, one_line


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("techniques"))


def told(home: Home, *arguments: str) -> str:
    done = home.green("techniques", *arguments)
    assert (done.code, done.err) == (0, "")
    return done.out


def test_all_of_them(home: Home) -> None:
    shown = told(home)
    assert all(f"\n  {one.name} " in shown for one in techniques())
    assert max(map(len, shown.splitlines())) <= 100


def test_those_of_a_stage(home: Home) -> None:
    shown = told(home, "--stage", "data")
    assert "\n  data-subset " in shown
    assert "Training" not in shown


def test_one_of_them(home: Home) -> None:
    shown = told(home, "mixed-precision")
    assert shown.startswith("mixed-precision (training, energy-efficient training)\n")
    assert "%%energy --technique mixed-precision" in shown
    assert "https://arxiv.org/abs/1710.03740" in shown


def test_markdown(home: Home) -> None:
    assert told(home, "--format", "markdown").startswith("| Technique | Stage |")
    assert told(home, "pruning", "--format", "markdown").startswith("### pruning\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quantization"], "did you mean quantisation?"),
        (["pruning", "--stage", "data"], "not both"),
        (["--stage", "modelling"], "'modelling'"),
        (["pruning", "distillation"], "'distillation'"),
    ],
)
def test_errors_are_one_line(home: Home, arguments: list[str], message: str) -> None:
    assert message in one_line(home.green("techniques", *arguments))


def test_help(home: Home) -> None:
    assert "jupyter green techniques --stage training" in told(home, "--help")
    done = home.green("--help")
    assert "techniques" in done.out
