"""Stages for cells without a tag: right on cells that were set aside, silent where nothing shows.

Over the half that was set aside (rows: what the cell is for; columns: what is suggested)::

                       infra   data  model  train deploy   eval   none
    infrastructure         8      0      0      0      0      0      0
    data                   0     14      0      0      0      0      0
    modeling               0      0     10      0      0      0      0
    training               0      0      0     14      0      0      1
    deployment             0      0      0      0      8      1      0
    evaluation             0      0      0      0      0     11      0
    none                   0      0      0      0      0      0     12
"""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_green.recorder import suggesting
from jupyter_green.recorder.suggesting import LOOKED_AT, STAGES, suggested_stage
from tests.unit.stage_cells import HALVES, LabelledCell, labelled_cells

Confusion = Counter[tuple[str | None, str | None]]

EVERY = [cell for half in HALVES for cell in labelled_cells(half)]


def confusion(cells: list[LabelledCell]) -> Confusion:
    """How many cells of each stage get each suggestion."""
    return Counter((cell.stage, suggested_stage(cell.source)) for cell in cells)


def printed(table: Confusion) -> str:
    names = (*STAGES, None)
    heads = ("infra", "data", "model", "train", "deploy", "eval", "none")
    head = " " * 19 + "".join(f"{name:>7}" for name in heads)
    rows = (
        f"{name or 'none':<19}" + "".join(f"{table[name, other]:>7}" for other in names)
        for name in names
    )
    return "\n".join((head, *rows))


def share_right(table: Confusion) -> float:
    return sum(n for (stage, found), n in table.items() if stage == found) / table.total()


def wrong(table: Confusion) -> int:
    """Suggestions that mislead."""
    return sum(n for (stage, found), n in table.items() if found not in (stage, None))


# --- the labelled set ---


def test_the_set_is_varied() -> None:
    for half in HALVES:
        stages = Counter(cell.stage for cell in labelled_cells(half))
        assert set(stages) == {*STAGES, None}
        assert min(stages.values()) >= 8
        assert max(stages.values()) <= 0.25 * stages.total()
    sources = [cell.source for cell in EVERY]
    assert len(set(sources)) == len(sources) >= 160


def test_cells_that_were_set_aside_get_their_stage() -> None:
    table = confusion(labelled_cells("test"))
    told = " ".join((__doc__ or "").split())

    assert share_right(table) >= 0.9, printed(table)
    assert wrong(table) <= 0.05 * table.total(), printed(table)
    assert " ".join(printed(table).split()) in told, printed(table)


def test_cells_that_it_was_tuned_on_get_their_stage() -> None:
    table = confusion(labelled_cells("tuning"))

    assert share_right(table) == 1.0, printed(table)


def test_it_beats_the_stage_that_is_most_frequent() -> None:
    cells = labelled_cells("test")
    [(_, most)] = Counter(cell.stage for cell in cells).most_common(1)

    assert share_right(confusion(cells)) > 3 * most / len(cells)


def test_comments_and_strings_change_nothing() -> None:
    """In any language: what stands there is not what the cell does."""
    said = "# modelo.fit(X); trainer.train(); loss.backward(); 训练模型; read_csv()\n"
    for cell in EVERY:
        if not cell.source.startswith("%%"):
            assert suggested_stage(said + cell.source) == suggested_stage(cell.source), cell.title
            quoted = f"note = {said.strip()!r}\n{cell.source}"
            assert suggested_stage(quoted) == suggested_stage(cell.source), cell.title


@pytest.mark.parametrize("magic", ["%%time\n", "%%capture out\n", "%%energy --label 'train x'\n"])
def test_magics_around_python_change_nothing(magic: str) -> None:
    for cell in EVERY:
        if not cell.source.startswith("%%"):
            assert suggested_stage(magic + cell.source) == suggested_stage(cell.source), cell.title


# --- cells one by one ---


def test_the_dearest_stage_wins() -> None:
    """Whatever the order of the lines."""
    lines = [
        "import torch",
        "df.head()",
        "torch.save(net, path)",
        "net = nn.Sequential(layer)",
        "df = pd.read_csv(path)",
        "net.predict(X)",
        "torch.onnx.export(net, X, path)",
        "net.fit(X, y)",
        "study = optuna.create_study()",
    ]
    expected = [
        *("infrastructure", "data", "deployment", "modeling", "data", "evaluation"),
        *("deployment", "training", "modeling"),
    ]
    for count, stage in enumerate(expected, 1):
        assert suggested_stage("\n".join(lines[:count])) == stage
        assert suggested_stage("\n".join(reversed(lines[:count]))) == stage


@pytest.mark.parametrize(
    ("source", "stage"),
    [
        ("model.fit(X, y)", "training"),
        ("model.fit", None),
        ("refit(X)", None),
        ("outfit = fits(X)", None),
        ("scaler = StandardScaler().fit(X)", "data"),
        ("PCA(n_components=2).fit(X)\nRidge().fit(X, y)", "modeling"),
        ("scaler.fit(X)", "data"),
        ("scaler.fit(X)\nmodel.fit(X, y)", "training"),
        ("train_one_epoch(net)", "training"),
        ("train_sizes = [1, 2]", None),
        ("train_test_split(X)", "data"),
        ("re.compile('fit()')", None),
        ("model.compile(loss)", "modeling"),
        ("plt.savefig('x.png')", None),
        ("%%sql\nselect 1", "data"),
        ("%%html\n<b>fit(</b>", None),
        ("%%writefile train.py\nmodel.fit(X)", None),
        ("%%bash\npython train.py", "training"),
        ("!pip install x", "infrastructure"),
        ("import re\nre.match(a, b)\nx\ny", None),
        ("import re, json\nfrom a import b\nx = 1", "infrastructure"),
        ("import re\nx = 1", None),
        ("'''\nmodel.fit(X)", None),
        ('text = "it\'s fit("; x', None),
        ("!echo don't\nmodel.fit(X)", "training"),
        ("if model.fit(X", "training"),
        ("größe.fit(X)", "training"),
        ("éfit(X)", None),
        ("%%energy --label pip git\nx = 1", None),
        ("x = ''\nmodel.fit(X)", "training"),
        ("x = 'a\\\nb'; model.fit(X)", "training"),
        ("", None),
        ("\x00\ud800", None),
    ],
)
def test_suggestion(source: str, stage: str | None) -> None:
    assert suggested_stage(source) == stage


def test_a_cell_is_read_at_its_beginning_only() -> None:
    """What lies behind costs nothing, so it cannot say anything, either."""
    padding = "x = 1\n" * (LOOKED_AT // 6)

    assert suggested_stage("model.fit(X)\n" + 100 * padding) == "training"
    assert suggested_stage(padding[:-20] + "\nmodel.fit(X)") == "training"
    assert suggested_stage(padding + "\nmodel.fit(X)") is None


@given(st.text())
def test_any_text(source: str) -> None:
    assert suggested_stage(source) in (*STAGES, None)


pieces = st.sampled_from(
    ["'", '"', "'''", '"""', "\\", "#", "\n", "(", ")", ".", "fit(", "x", "1", " ", "%%", "!"]
)


@given(st.lists(pieces, max_size=40).map("".join))
def test_any_pieces_of_code(source: str) -> None:
    """Where Python can read it, the suggestion follows what it calls, not what it quotes."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        assert suggested_stage(source) in (*STAGES, None)
        return
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [getattr(call, "attr", getattr(call, "id", None)) for call in calls]
    if "fit" not in names:
        assert suggested_stage(source) != "training"


# --- the words ---


def test_every_word_says_one_thing() -> None:
    words = [word for _, text in suggesting._RANKED for word in text.split()]
    doubled = [word for word, count in Counter(words).items() if count > 1]

    assert doubled == []


def test_every_word_can_be_found() -> None:
    """In a cell that has nothing else."""
    for stage, text in suggesting._RANKED:
        for word in text.split():
            called = f"{word}x)" if word.endswith("(") else word
            assert suggested_stage(called) == stage, word
            assert suggested_stage(f"y = 1\n{called}\n") == stage, word
