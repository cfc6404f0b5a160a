"""Settings from files, IPython's configuration and the caller, and one written back."""

import json
import os
import stat
from pathlib import Path

import msgspec
import pytest
from traitlets import TraitError
from traitlets.config import Config, Configurable
from traitlets.config.loader import DeferredConfigString

from jupyter_green.configurable import JupyterGreen, load_settings, remember
from jupyter_green.errors import SettingError
from jupyter_green.settings import Settings

JSON_NAME = "jupyter_green_config.json"
PY_NAME = "jupyter_green_config.py"


class Layers:
    """A user's and an administrator's directory of configuration."""

    def __init__(self, root: Path) -> None:
        self.user = root / "user"
        self.admin = root / "admin"
        self.data = root / "data"

    def write(self, directory: Path, **values: object) -> Path:
        return self.write_text(directory, JSON_NAME, json.dumps({"JupyterGreen": values}))

    def write_text(self, directory: Path, name: str, text: str) -> Path:
        directory.mkdir(exist_ok=True)
        path = directory / name
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layers:
    """Nothing of the machine that runs the tests takes part."""
    made = Layers(tmp_path)
    monkeypatch.delenv("JUPYTER_NO_CONFIG", raising=False)
    monkeypatch.delenv("JUPYTER_CONFIG_PATH", raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(made.user))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(made.data))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setattr("site.ENABLE_USER_SITE", False)
    monkeypatch.setattr("jupyter_core.paths.ENV_CONFIG_PATH", [])
    monkeypatch.setattr("jupyter_core.paths.SYSTEM_CONFIG_PATH", [str(made.admin)])
    return made


# The class itself


def test_one_trait_per_setting() -> None:
    assert set(JupyterGreen.class_trait_names(config=True)) == set(Settings.__struct_fields__)


def test_every_trait_has_help() -> None:
    traits = JupyterGreen.class_traits(config=True)
    assert [name for name, trait in traits.items() if not trait.help.strip()] == []


def test_defaults_agree_with_settings(layers: Layers) -> None:
    settings = JupyterGreen().settings()
    assert settings == Settings(data_dir=settings.data_dir)


def test_data_dir_is_in_jupyters(layers: Layers) -> None:
    assert JupyterGreen().settings().data_dir == str(layers.data / "jupyter_green")


def test_data_dir_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_DATA_DIR", "beside")
    assert JupyterGreen().data_dir == str(tmp_path / "beside" / "jupyter_green")


def test_data_dir_understands_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert JupyterGreen(data_dir="~/green").data_dir == str(tmp_path / "green")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pue", 0.99, "pue must be at least 1.0"),
        ("pue", float("nan"), "pue must be at least 1.0"),
        ("pue", float("inf"), "pue must be at least 1.0"),
        ("pue", "1.2", "expected a float"),
        ("price_per_kwh", -0.01, "price_per_kwh must not be negative"),
        ("price_per_kwh", float("nan"), "price_per_kwh must not be negative"),
        ("cpu_idle_w", 0, "cpu_idle_w must be above 0 W, not 0 W"),
        ("cpu_max_w", -65, "cpu_max_w must be above 0 W, not -65 W"),
        ("cpu_max_w", float("nan"), "cpu_max_w must be above 0 W"),
        ("calibration", 0, "calibration must be above 0"),
        ("idle_interval_s", 0.019, "idle_interval_s must be from 0.02 s to 60 s, not 0.019 s"),
        ("busy_interval_s", 61, "busy_interval_s must be from 0.02 s to 60 s, not 61 s"),
        ("busy_interval_s", float("nan"), "busy_interval_s must be from"),
        ("data_dir", "green", "data_dir must be an absolute path, not 'green'"),
        ("data_dir", "", "data_dir must be an absolute path"),
        ("currency", " ", "currency must not be empty"),
        ("sysfs_root", "", "sysfs_root must not be empty"),
        ("cpu_source", "turbostat", "one of auto, rapl, perf, pyrapl, modelled, not 'turbostat'"),
        ("cpu_source", "", "cpu_source must be one of auto, rapl"),
        ("cpu_source", None, "cpu_source"),
        ("gpus", "all", "gpus must be one of used, visible, none, not 'all'"),
        ("gpus", "", "gpus must be one of used, visible, none"),
        ("gpus", None, "gpus"),
        ("keep_source", "perhaps", "keep_source"),
        ("place", 33, "place"),
    ],
)
def test_refused_values(name: str, value: object, message: str) -> None:
    green = JupyterGreen()
    before = getattr(green, name)
    with pytest.raises(TraitError, match=message):
        setattr(green, name, value)
    assert getattr(green, name) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pue", 1.0),
        ("pue", 1),
        ("price_per_kwh", 0.0),
        ("price_per_kwh", None),
        ("cpu_idle_w", 0.5),
        ("idle_interval_s", 0.02),
        ("busy_interval_s", 60.0),
        ("cpu_source", "auto"),
        ("cpu_source", "perf"),
        ("cpu_source", "pyrapl"),
        ("gpus", "used"),
        ("gpus", "visible"),
        ("gpus", "none"),
        ("place", None),
        # Which places there are is not known on this floor.
        ("place", "Atlantis"),
        ("keep_source", True),
    ],
)
def test_accepted_values(name: str, value: object) -> None:
    green = JupyterGreen()
    setattr(green, name, value)
    assert getattr(green.settings(), name) == value


@pytest.mark.parametrize("name", ["place", "project"])
def test_blank_means_unset(name: str) -> None:
    assert getattr(JupyterGreen(**{name: "  "}), name) is None


def test_the_case_of_a_source_does_not_matter() -> None:
    assert JupyterGreen(cpu_source=" PyRAPL ").settings().cpu_source == "pyrapl"


def test_idle_above_maximum_is_refused() -> None:
    green = JupyterGreen(cpu_idle_w=20.0, cpu_max_w=65.0)
    with pytest.raises(TraitError, match=r"cpu_idle_w cannot be 66 W.*cpu_max_w, 65 W"):
        green.cpu_idle_w = 66.0
    with pytest.raises(TraitError, match=r"cpu_max_w cannot be 19 W.*cpu_idle_w, 20 W"):
        green.cpu_max_w = 19.0
    green.cpu_idle_w = 65.0
    assert green.settings().cpu_idle_w == 65.0


def test_live_change_as_percent_config_makes_it(layers: Layers) -> None:
    layers.write(layers.user, pue=1.2)
    green = load_settings().configurable
    green.update_config(Config({"JupyterGreen": {"place": "FR"}}))
    assert (green.settings().place, green.settings().pue) == ("FR", 1.2)


def test_settings_travel_to_the_recorder(layers: Layers) -> None:
    settings = load_settings(overrides={"place": "FR"}).settings
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


# Layers


def test_without_any_file(layers: Layers) -> None:
    loaded = load_settings()
    assert loaded.settings == JupyterGreen().settings()
    assert loaded.problems == ()


def test_user_above_administrator(layers: Layers) -> None:
    layers.write(layers.admin, place="DEU", pue=1.3, currency="CHF")
    layers.write(layers.user, place="FRA")
    loaded = load_settings()
    assert (loaded.settings.place, loaded.settings.pue) == ("FRA", 1.3)
    assert loaded.settings.currency == "CHF"
    assert loaded.problems == ()


def test_user_can_unset_what_the_administrator_set(layers: Layers) -> None:
    layers.write(layers.admin, place="DEU")
    layers.write(layers.user, place=None)
    assert load_settings().settings.place is None


def test_json_above_python_in_one_directory(layers: Layers) -> None:
    layers.write_text(layers.user, PY_NAME, "c.JupyterGreen.pue = 1.4\nc.JupyterGreen.place='PL'")
    layers.write(layers.user, pue=1.5)
    settings = load_settings().settings
    assert (settings.pue, settings.place) == (1.5, "PL")


def test_python_of_the_user_above_json_of_the_administrator(layers: Layers) -> None:
    layers.write(layers.admin, pue=1.5)
    layers.write_text(layers.user, PY_NAME, "c = get_config()\nc.JupyterGreen.pue = 1.4\n")
    assert load_settings().settings.pue == 1.4


def test_config_path_above_the_user(
    layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    layers.write(first, pue=1.1)
    layers.write(second, pue=1.2, place="FR")
    layers.write(layers.user, pue=1.3, place="DE", project="thesis")
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", os.pathsep.join([str(first), str(second)]))
    settings = load_settings().settings
    assert (settings.pue, settings.place, settings.project) == (1.1, "FR", "thesis")


def test_parent_above_files_and_overrides_above_all(layers: Layers) -> None:
    layers.write(layers.user, pue=1.2, place="FR", project="files")
    parent = Configurable(config=Config({"JupyterGreen": {"place": "DE", "project": "parent"}}))
    loaded = load_settings(parent, {"project": "here"})
    assert (loaded.settings.pue, loaded.settings.place) == (1.2, "DE")
    assert loaded.settings.project == "here"
    assert loaded.problems == ()


def test_values_of_the_command_line_are_text(layers: Layers) -> None:
    text = {"pue": DeferredConfigString("1.25"), "keep_source": DeferredConfigString("True")}
    settings = load_settings(Configurable(config=Config({"JupyterGreen": text}))).settings
    assert (settings.pue, settings.keep_source) == (1.25, True)


def test_a_mention_is_no_setting(layers: Layers) -> None:
    layers.write_text(layers.user, PY_NAME, "c.JupyterGreen.place\n")
    loaded = load_settings()
    assert loaded.settings.place is None
    assert loaded.problems == ()


def test_loading_leaves_the_parent_alone(layers: Layers) -> None:
    layers.write(layers.user, place="FR")
    parent = Configurable(config=Config())
    load_settings(parent)
    assert parent.config == Config()


def test_no_config(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    layers.write(layers.user, pue=1.3)
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    assert load_settings().settings.pue == 1.0


def test_working_directory_is_no_layer(
    layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers.write(tmp_path, pue=3.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", os.pathsep.join(["", str(layers.admin)]))
    assert load_settings().settings.pue == 1.0


def test_directory_named_twice_is_read_once(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(layers.user))
    layers.write(layers.user, pue=0.5)
    assert len(load_settings().problems) == 1


def test_watts_raised_and_lowered_by_a_stronger_layer(layers: Layers) -> None:
    layers.write(layers.admin, cpu_idle_w=20, cpu_max_w=100)
    layers.write(layers.user, cpu_idle_w=150, cpu_max_w=300)
    loaded = load_settings(overrides={"cpu_max_w": 8, "cpu_idle_w": 2})
    assert (loaded.settings.cpu_idle_w, loaded.settings.cpu_max_w) == (2, 8)
    assert loaded.problems == ()


# What is wrong in them


BROKEN = [
    pytest.param(JSON_NAME, '{"JupyterGreen": {"pue": 1.2,', id="torn JSON"),
    pytest.param(JSON_NAME, "", id="empty JSON"),
    pytest.param(JSON_NAME, "[1]", id="a JSON list"),
    pytest.param(JSON_NAME, "null", id="a JSON null"),
    pytest.param(JSON_NAME, '{"version": 7}', id="JSON of another version"),
    pytest.param(JSON_NAME, '{"JupyterGreen": 5}', id="a number for a section"),
    pytest.param(PY_NAME, "c.JupyterGreen.pue = ", id="a syntax error"),
    pytest.param(PY_NAME, "c.JupyterGreen.pue = 1.9\n1 / 0\n", id="an exception"),
    pytest.param(PY_NAME, "raise SystemExit('no')", id="an exit"),
    pytest.param(PY_NAME, "raise ValueError('one\\ntwo')", id="a long story"),
]


@pytest.mark.parametrize(("name", "text"), BROKEN)
def test_broken_file_costs_only_itself(layers: Layers, name: str, text: str) -> None:
    layers.write(layers.admin, pue=1.3)
    path = layers.write_text(layers.user, name, text)
    loaded = load_settings(overrides={"place": "FR"})
    assert (loaded.settings.pue, loaded.settings.place) == (1.3, "FR")
    [problem] = loaded.problems
    assert problem.startswith(str(path))
    assert "\n" not in problem


def test_bytes_that_are_no_text(layers: Layers) -> None:
    path = layers.write(layers.user)
    path.write_bytes(b'{"JupyterGreen": {"project": "\xff\xfe"}}')
    loaded = load_settings()
    assert loaded.settings.project is None
    assert loaded.problems[0].startswith(str(path))


def test_bad_value_costs_only_itself(layers: Layers) -> None:
    layers.write(layers.admin, pue=1.3)
    path = layers.write(layers.user, pue=0.5, place="FR", keep_source=17)
    loaded = load_settings()
    assert (loaded.settings.pue, loaded.settings.place) == (1.3, "FR")
    assert loaded.settings.keep_source is False
    assert len(loaded.problems) == 2
    assert (
        f"{path}: pue must be at least 1.0 (no overhead), not 0.5; this value is ignored"
        in loaded.problems
    )


def test_contradicting_watts_are_one_clear_problem_each(layers: Layers) -> None:
    layers.write(layers.user, cpu_idle_w=100, cpu_max_w=50)
    loaded = load_settings()
    [problem] = loaded.problems
    assert "cpu_max_w cannot be 50 W" in problem
    assert (loaded.settings.cpu_idle_w, loaded.settings.cpu_max_w) == (100, None)


def test_unknown_setting_is_reported_and_costs_nothing(layers: Layers) -> None:
    path = layers.write(layers.user, plce="FR", zzz=1, pue=1.2)
    loaded = load_settings()
    assert loaded.settings.pue == 1.2
    assert loaded.problems == (
        f"{path}: JupyterGreen has no setting 'plce', did you mean 'place'?",
        f"{path}: JupyterGreen has no setting 'zzz'",
    )


def test_other_sections_are_left_alone(layers: Layers) -> None:
    text = json.dumps({"Other": {"x": 1}, "version": 1, "JupyterGreen": {"pue": 1.2}})
    layers.write_text(layers.user, JSON_NAME, text)
    loaded = load_settings()
    assert (loaded.settings.pue, loaded.problems) == (1.2, ())


@pytest.mark.parametrize(
    ("name", "text"), [(JSON_NAME, '{"place": "FR"}'), (PY_NAME, 'c.place = "FR"')]
)
def test_setting_outside_its_section(layers: Layers, name: str, text: str) -> None:
    path = layers.write_text(layers.user, name, text)
    loaded = load_settings()
    assert loaded.settings.place is None
    assert loaded.problems == (f"{path}: place is ignored, it belongs into JupyterGreen",)


def test_bad_values_of_parent_and_caller_say_whose(layers: Layers) -> None:
    parent = Configurable(config=Config({"JupyterGreen": {"pue": 0.1}}))
    loaded = load_settings(parent, {"price_per_kwh": -1, "colour": "green"})
    assert loaded.settings == JupyterGreen().settings()
    assert loaded.problems[0].startswith("configuration of Configurable: pue must be")
    assert {line.partition(":")[0] for line in loaded.problems[1:]} == {"given here"}
    assert len(loaded.problems) == 3


# Writing one back


def test_remember_and_find_again(layers: Layers) -> None:
    path = remember("place", "FR")
    assert path == layers.user / JSON_NAME
    assert json.loads(path.read_text(encoding="utf-8")) == {"JupyterGreen": {"place": "FR"}}
    assert load_settings().settings.place == "FR"


def test_remember_creates_the_directory(
    layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "some" / "where"
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(deep))
    assert remember("pue", 1.2) == deep / JSON_NAME
    assert load_settings().settings.pue == 1.2


def test_remember_keeps_everything_else(layers: Layers) -> None:
    content = {"version": 1, "Other": {"a": [1]}, "JupyterGreen": {"pue": 1.2, "zzz": 3}}
    path = layers.write_text(layers.user, JSON_NAME, json.dumps(content))
    remember("project", "Zürich")
    expected = {**content, "JupyterGreen": {"pue": 1.2, "zzz": 3, "project": "Zürich"}}
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    assert list(layers.user.iterdir()) == [path]
    assert load_settings().settings.project == "Zürich"


def test_remember_keeps_mode_and_link(layers: Layers, tmp_path: Path) -> None:
    target = layers.write(tmp_path / "dotfiles", pue=1.2)
    target.chmod(0o640)
    layers.user.mkdir()
    path = layers.user / JSON_NAME
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system lets users make no links")
    mode = stat.S_IMODE(target.stat().st_mode)
    remember("place", "FR")
    assert path.is_symlink()
    assert json.loads(target.read_text(encoding="utf-8"))["JupyterGreen"]["place"] == "FR"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_remember_none_forgets(layers: Layers) -> None:
    path = layers.write(layers.user, place="FR", pue=1.2)
    assert remember("place", None) == path
    assert json.loads(path.read_text(encoding="utf-8")) == {"JupyterGreen": {"pue": 1.2}}


def test_remember_none_forgets_also_a_null(layers: Layers) -> None:
    path = layers.write(layers.user, place=None)
    remember("place", None)
    assert json.loads(path.read_text(encoding="utf-8")) == {"JupyterGreen": {}}


def test_remember_none_without_a_file_makes_none(layers: Layers) -> None:
    assert not remember("place", None).exists()


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("plce", "FR", "no setting 'plce', did you mean 'place'"),
        ("config", "FR", "no setting 'config'"),
        ("pue", 0.5, "pue must be at least 1.0"),
        ("pue", "much", "expected a float"),
        ("cpu_max_w", 10, r"cpu_max_w cannot be 10 W"),
    ],
)
def test_remember_refuses(layers: Layers, trait: str, value: object, message: str) -> None:
    path = layers.write(layers.user, cpu_idle_w=20)
    before = path.read_bytes()
    with pytest.raises(SettingError, match=message):
        remember(trait, value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b'{"JupyterGreen": {', b"", b"[]", b'{"JupyterGreen": 5}', b'{"a": "\xff"}'],
)
@pytest.mark.parametrize("value", ["FR", None])
def test_remember_never_overwrites_a_damaged_file(
    layers: Layers, content: bytes, value: str | None
) -> None:
    path = layers.write(layers.user)
    path.write_bytes(content)
    with pytest.raises(SettingError) as caught:
        remember("place", value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content
    assert list(layers.user.iterdir()) == [path]


def test_remember_where_nothing_can_be_written(layers: Layers) -> None:
    layers.user.write_text("a file where the directory should be", encoding="utf-8")
    with pytest.raises(SettingError, match="cannot be") as caught:
        remember("place", "FR")
    assert str(layers.user / JSON_NAME) in str(caught.value)


def test_remember_leaves_the_old_file_when_the_disk_is_full(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = layers.write(layers.user, pue=1.2)
    before = path.read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(SettingError, match=r"cannot be written \(No space left on device\)"):
        remember("place", "FR")
    assert path.read_bytes() == before
    assert list(layers.user.iterdir()) == [path]
