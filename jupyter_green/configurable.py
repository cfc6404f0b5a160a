"""The traitlets face of :mod:`jupyter_green.settings`.

Settings come, the later over the earlier, from

1. ``jupyter_green_config.py`` and ``jupyter_green_config.json`` in each directory of Jupyter's
   configuration path: the administrator's for the whole system first, the user's after it. In a
   virtual environment Jupyter puts the environment's directory above the user's, unless
   ``JUPYTER_PREFER_ENV_PATH`` is 0.
2. ``c.JupyterGreen`` in the configuration of IPython and on the kernel's command line;
3. what the caller gives.

A kernel must start whatever these hold. So each value is taken by itself: one that cannot be
used leaves the setting as the layers below made it, and becomes a problem to be shown.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from traitlets import Bool, Float, TraitError, Unicode, default, validate
from traitlets.config import Config, Configurable
from traitlets.config.loader import (
    ConfigFileNotFound,
    DeferredConfig,
    FileConfigLoader,
    JSONFileConfigLoader,
    LazyConfigValue,
    PyFileConfigLoader,
)
from traitlets.utils.bunch import Bunch

from jupyter_green.errors import SettingError
from jupyter_green.settings import CPU_SOURCES, GPUS, INTENSITY_PROVIDERS, Settings

SECTION = "JupyterGreen"
CONFIG_NAME = "jupyter_green_config"

# As traitlets does it: beside each other, the JSON file has the last word, because programs
# write it.
_LOADERS: dict[str, type[FileConfigLoader]] = {
    f"{CONFIG_NAME}.py": PyFileConfigLoader,
    f"{CONFIG_NAME}.json": JSONFileConfigLoader,
}

SHORTEST_INTERVAL_S = 0.02
"""50 Hz costs 0.9 % of a core already; counters update hardly faster."""
LONGEST_INTERVAL_S = 60.0
"""A 32-bit RAPL counter wraps after some minutes at full load; it must be read before."""

LONGEST_REQUEST_INTERVAL_S = 86400.0
"""A value that is older is not live."""


class JupyterGreen(Configurable):
    """Measures the energy of every notebook cell."""

    data_dir = Unicode(
        help="""Directory of the recorded sessions, as an absolute path ("~" is understood).
        Default: jupyter_green in Jupyter's data directory."""
    ).tag(config=True)

    sysfs_root = Unicode(
        "/sys",
        help="""Where sysfs is mounted; containers often mount the host's as /host/sys.""",
    ).tag(config=True)

    procfs_root = Unicode("/proc", help="""Where procfs is mounted.""").tag(config=True)

    cpu_source = Unicode(
        "auto",
        help="""What the CPU's energy is read with: rapl (its counters in sysfs), perf (the same
        through perf_event), pyrapl (the package pyRAPL) or modelled. One that is named is used
        alone, and the model where it cannot be. Default (auto): rapl, else perf, else modelled.""",
    ).tag(config=True)
    gpus = Unicode(
        "used",
        help="""Which GPUs count: those on which a process of this notebook has a context (used),
        all that CUDA_VISIBLE_DEVICES shows (visible), or none. Default: used.""",
    ).tag(config=True)

    place = Unicode(
        None,
        allow_none=True,
        help="""Where the machine stands: a country as ISO 3166-1 code (FR or FRA) or English
        name (France), a state of the USA (US-CA) or a cloud region (aws:eu-west-3). Without it
        energy is shown, and CO2 only where the machine itself names its cloud region.""",
    ).tag(config=True)

    instance_data = Unicode(
        "/run/cloud-init/instance-data.json",
        help="""File in which cloud-init names the region of a machine in a cloud. Empty: the
        machine is not asked where it stands.""",
    ).tag(config=True)

    intensity_provider = Unicode(
        "",
        help="""Who is asked for the carbon intensity while a session runs: electricity_maps (needs
        a token in the environment variable ELECTRICITY_MAPS_TOKEN, or a file), or uk (Great
        Britain, free). Default: nobody; the tables' annual averages are used.""",
    ).tag(config=True)

    zone = Unicode(
        None,
        allow_none=True,
        help="""The provider's name of the place: a zone of Electricity Maps (FR, US-CAL-CISO), or
        the first half of a British postcode (SW1A). Default: the zone of the place, if that is a
        country; the whole of Great Britain.""",
    ).tag(config=True)

    intensity_url = Unicode(
        "",
        help="""Address of the provider, beginning with https://, if it is not its usual one (plain
        http:// only to this machine). The token is sent there.""",
    ).tag(config=True)

    intensity_token_file = Unicode(
        "",
        help="""File that holds the provider's token and nothing else, as an absolute path ("~" is
        understood); the environment variable comes first.""",
    ).tag(config=True)

    intensity_interval_s = Float(
        1800.0,
        help="""Seconds between two requests to the provider (1 to 86400). They publish every half
        hour or hour.""",
    ).tag(config=True)

    pue = Float(
        1.0,
        help="""Power usage effectiveness of the place where the machine stands, at least 1.0
        (no overhead). The average of data centres was 1.54 in Uptime's survey of 2025.""",
    ).tag(config=True)

    price_per_kwh = Float(
        None,
        allow_none=True,
        help="""Price of a kilowatt-hour, in the currency below. Without it no cost is shown.""",
    ).tag(config=True)

    currency = Unicode("EUR", help="""Currency of the price.""").tag(config=True)

    cpu_idle_w = Float(
        None,
        allow_none=True,
        help="""Watts of the idle CPU, for the model that is used where no counter can be read.
        Default: from the machine or the table.""",
    ).tag(config=True)

    cpu_max_w = Float(
        None,
        allow_none=True,
        help="""Watts of the fully busy CPU, for the model that is used where no counter can be
        read. Default: from the machine or the table.""",
    ).tag(config=True)

    calibration = Float(
        1.0, help="""Factor that multiplies modelled watts, found with a wall meter."""
    ).tag(config=True)

    project = Unicode(None, allow_none=True, help="""Tag under which sessions are added up.""").tag(
        config=True
    )

    keep_source = Bool(
        False,
        help="""Keep the whole source of each cell in the journal, instead of its first line
        and a hash.""",
    ).tag(config=True)

    retention_days = Float(
        None,
        allow_none=True,
        help="""Delete sessions that ended longer ago than so many days, whenever a session ends
        and by `jupyter green prune`. Default: all are kept.""",
    ).tag(config=True)

    idle_interval_s = Float(
        1.0, help="""Seconds between two samples while no cell runs (0.02 to 60)."""
    ).tag(config=True)

    busy_interval_s = Float(
        0.1, help="""Seconds between two samples while a cell runs (0.02 to 60)."""
    ).tag(config=True)

    @default("data_dir")
    def _default_data_dir(self) -> str:
        # Imported on use: who brings a directory of their own needs no jupyter_core.
        from jupyter_core.paths import jupyter_data_dir  # noqa: PLC0415

        return str(Path(jupyter_data_dir(), "jupyter_green").absolute())

    @validate("data_dir", "intensity_token_file")
    def _absolute(self, proposal: Bunch) -> str:
        name = proposal.trait.name
        if name == "intensity_token_file" and not proposal.value.strip():
            return ""
        path = Path(os.path.expanduser(proposal.value))
        if not path.is_absolute():
            # Each notebook has a working directory of its own; sessions would be scattered.
            raise TraitError(f"{name} must be an absolute path, not {proposal.value!r}")
        return str(path)

    @validate("intensity_provider")
    def _known_provider(self, proposal: Bunch) -> str:
        name: str = proposal.value.strip().lower()
        if name not in INTENSITY_PROVIDERS:
            known = " or ".join(filter(None, INTENSITY_PROVIDERS))
            raise TraitError(f"intensity_provider must be {known}, not {proposal.value!r}")
        return name

    @validate("zone")
    def _zone(self, proposal: Bunch) -> str | None:
        zone = (proposal.value or "").strip().upper()
        if zone and not re.fullmatch(r"[A-Z0-9][A-Z0-9 -]{0,23}", zone):
            raise TraitError(
                f"zone must be a zone of Electricity Maps (FR, US-CAL-CISO) or the first half of a "
                f"British postcode (SW1A), not {proposal.value!r}"
            )
        return zone or None

    @validate("intensity_url")
    def _safe_url(self, proposal: Bunch) -> str:
        url: str = proposal.value.strip()
        if url and not _is_safe(url):
            # Not with its value: an address may hold a password.
            raise TraitError(
                "intensity_url must be an address like https://proxy.example.org/carbon, without "
                "user, password or query; plain http:// only to this machine (127.0.0.1)"
            )
        return url

    @validate("intensity_interval_s")
    def _request_interval(self, proposal: Bunch) -> float:
        if not 1.0 <= proposal.value <= LONGEST_REQUEST_INTERVAL_S:
            raise TraitError(
                f"intensity_interval_s must be from 1 s to {LONGEST_REQUEST_INTERVAL_S:g} s, not "
                f"{proposal.value:g} s"
            )
        return float(proposal.value)

    @validate("place", "project")
    def _blank_is_unset(self, proposal: Bunch) -> str | None:
        return (proposal.value or "").strip() or None

    @validate("currency", "sysfs_root", "procfs_root")
    def _not_blank(self, proposal: Bunch) -> str:
        text: str = proposal.value.strip()
        if not text:
            raise TraitError(f"{proposal.trait.name} must not be empty")
        return text

    @validate("cpu_source")
    def _known_source(self, proposal: Bunch) -> str:
        name: str = proposal.value.strip().lower()
        if name not in CPU_SOURCES:
            raise TraitError(
                f"cpu_source must be one of {', '.join(CPU_SOURCES)}, not {proposal.value!r}"
            )
        return name

    @validate("gpus")
    def _known_gpus(self, proposal: Bunch) -> str:
        which: str = proposal.value.strip().lower()
        if which not in GPUS:
            raise TraitError(f"gpus must be one of {', '.join(GPUS)}, not {proposal.value!r}")
        return which

    @validate("pue")
    def _pue(self, proposal: Bunch) -> float:
        if not 1.0 <= proposal.value < math.inf:
            raise TraitError(f"pue must be at least 1.0 (no overhead), not {proposal.value:g}")
        return float(proposal.value)

    @validate("price_per_kwh")
    def _price(self, proposal: Bunch) -> float | None:
        if proposal.value is not None and not 0 <= proposal.value < math.inf:
            raise TraitError(f"price_per_kwh must not be negative, but is {proposal.value:g}")
        return proposal.value  # type: ignore[no-any-return]

    @validate("retention_days")
    def _retention(self, proposal: Bunch) -> float | None:
        # 0 would delete a session as soon as it ends, and so would a slip of the decimal point.
        if proposal.value is not None and not 1 <= proposal.value < math.inf:
            raise TraitError(
                f"retention_days must be at least 1, not {proposal.value:g}; None keeps all"
            )
        return proposal.value  # type: ignore[no-any-return]

    @validate("calibration")
    def _calibration(self, proposal: Bunch) -> float:
        if not 0 < proposal.value < math.inf:
            raise TraitError(f"calibration must be above 0, not {proposal.value:g}")
        return float(proposal.value)

    @validate("cpu_idle_w", "cpu_max_w")
    def _watts(self, proposal: Bunch) -> float | None:
        name, value = proposal.trait.name, proposal.value
        if value is None:
            return None
        if not 0 < value < math.inf:
            raise TraitError(f"{name} must be above 0 W, not {value:g} W")
        idle = value if name == "cpu_idle_w" else self.cpu_idle_w
        most = value if name == "cpu_max_w" else self.cpu_max_w
        if idle is not None and most is not None and idle > most:
            raise TraitError(
                f"{name} cannot be {value:g} W: the idle CPU (cpu_idle_w, {idle:g} W) would take "
                f"more than the busy one (cpu_max_w, {most:g} W)"
            )
        return float(value)

    @validate("idle_interval_s", "busy_interval_s")
    def _interval(self, proposal: Bunch) -> float:
        if not SHORTEST_INTERVAL_S <= proposal.value <= LONGEST_INTERVAL_S:
            raise TraitError(
                f"{proposal.trait.name} must be from {SHORTEST_INTERVAL_S:g} s to "
                f"{LONGEST_INTERVAL_S:g} s, not {proposal.value:g} s"
            )
        return float(proposal.value)

    def settings(self) -> Settings:
        """The values in force now."""
        return Settings(**{name: getattr(self, name) for name in Settings.__struct_fields__})


def _is_safe(url: str) -> bool:
    """A token can be sent there, and the address can be shown."""
    try:
        parts = urlsplit(url)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and here)
    plain = parts.username is None and not parts.query and not parts.fragment
    return whole and secure and plain and url.isascii() and url.isprintable() and " " not in url


@dataclass(frozen=True)
class Loaded:
    """What the configuration gave."""

    settings: Settings
    problems: tuple[str, ...]
    """What could not be used, one line each, with its origin; nothing of it is in force."""
    configurable: JupyterGreen
    """Holds the same values, for ``%config`` to show and change."""


def load_settings(
    parent: Configurable | None = None, overrides: Mapping[str, object] | None = None
) -> Loaded:
    """Settings from all layers; never fails because of what a file or a caller says.

    Args:
        parent: the IPython shell or application whose configuration comes after the files.
        overrides: settings by name, which come last.
    """
    green = JupyterGreen()
    problems: list[str] = []
    for path, loader in _config_files():
        config = _read(path, loader, problems)
        problems += _apply(green, _section(config, path, problems), path)
    if parent is not None:
        origin = f"configuration of {type(parent).__name__}"
        problems += _apply(green, _section(parent.config, origin, problems), origin)
    problems += _apply(green, overrides or {}, "given here")
    return Loaded(green.settings(), tuple(problems), green)


def _config_files() -> Iterator[tuple[str, FileConfigLoader]]:
    """Every file that may hold settings, the weakest first."""
    from jupyter_core.paths import jupyter_config_path  # noqa: PLC0415

    # An empty entry would mean the working directory, where a notebook that was downloaded
    # could bring a file along that is run as configuration.
    directories = dict.fromkeys(filter(None, jupyter_config_path()))
    for directory in reversed(directories):
        for name, loader in _LOADERS.items():
            yield os.path.join(directory, name), loader(name, path=directory)


def _read(path: str, loader: FileConfigLoader, problems: list[str]) -> Config:
    try:
        return loader.load_config()
    except ConfigFileNotFound:
        return Config()
    # A Python file can do anything, also exit.
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        problems.append(f"{path}: cannot be read, all of it is ignored ({what})")
        return Config()


def _section(config: Config, origin: str, problems: list[str]) -> Mapping[str, object]:
    """What is said about JupyterGreen. Sections of other classes are none of our business."""
    for name in sorted(_names() & config.keys()):
        problems.append(f"{origin}: {name} is ignored, it belongs into {SECTION}")
    section = config.get(SECTION, {})
    if isinstance(section, Mapping):
        return section
    problems.append(f"{origin}: {SECTION} must hold settings by name")
    return {}


def _apply(green: JupyterGreen, values: Mapping[str, object], origin: str) -> list[str]:
    """Set what can be set; return what cannot."""
    names = _names()
    problems = [f"{origin}: {_unknown(name)}" for name in values if name not in names]
    pending = {name: value for name, value in values.items() if name in names}
    while pending:
        refused = {name: _refusal(green, name, value) for name, value in pending.items()}
        left = {name: pending[name] for name, refusal in refused.items() if refusal}
        # Idle and maximum watts are checked against each other: raising both works in one
        # order only. So try again as long as anything else could be set.
        if len(left) == len(pending):
            return problems + [
                f"{origin}: {refusal}; this value is ignored" for refusal in refused.values()
            ]
        pending = left
    return problems


def _refusal(green: JupyterGreen, name: str, value: object) -> str:
    """Set a trait; why not, or an empty string."""
    if isinstance(value, LazyConfigValue):
        # ``c.JupyterGreen.place`` without a value is a mention, no setting.
        return ""
    if isinstance(value, DeferredConfig):
        value = value.get_value(green.traits()[name])
    try:
        setattr(green, name, value)
    except TraitError as error:
        return " ".join(str(error).split()).removesuffix(".")
    return ""


def _names() -> frozenset[str]:
    return frozenset(JupyterGreen.class_trait_names(config=True))


def _unknown(name: str) -> str:
    similar = get_close_matches(name, sorted(_names()), n=1)
    hint = f", did you mean {similar[0]!r}?" if similar else ""
    return f"{SECTION} has no setting {name!r}{hint}"


def remember(trait: str, value: object) -> Path:
    """Write one setting into the user's configuration, for all sessions to come.

    Everything else in ``jupyter_green_config.json`` stays as it is. Other layers may still
    have a stronger opinion: compare with :func:`load_settings`.

    Args:
        trait: name of the setting.
        value: the new value; None removes the setting from the file.

    Returns:
        The file.

    Raises:
        SettingError: no such setting, a value that cannot be used, a file that is damaged (it
            stays untouched) or that cannot be written.
    """
    from jupyter_core.paths import jupyter_config_dir  # noqa: PLC0415

    if trait not in _names():
        raise SettingError(_unknown(trait))
    path = Path(jupyter_config_dir(), f"{CONFIG_NAME}.json")
    content = _content(path)
    section = content.setdefault(SECTION, {})
    if not isinstance(section, dict):
        raise SettingError(f"{path}: {SECTION} must hold settings by name; correct it first")
    kept = None if value is None else _usable(trait, value)
    if kept is not None:
        section[trait] = kept
    elif trait in section:
        del section[trait]
    else:
        return path
    _replace(path, json.dumps(content, indent=2) + "\n")
    return path


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SettingError(
            f"{path}: no valid JSON ({error}); correct or remove the file first"
        ) from error
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(content, dict):
        raise SettingError(f"{path}: must hold a JSON object; correct or remove the file first")
    return content


def _usable(trait: str, value: object) -> object:
    """The value as it will be in force, beside everything else that is configured."""
    green = load_settings().configurable
    refusal = _refusal(green, trait, value)
    if refusal:
        raise SettingError(refusal)
    return getattr(green, trait)


def _replace(path: Path, text: str) -> None:
    """Write a file so that readers see the old one or the new one, never a part."""
    # The user's file may be a link into a collection of dotfiles: keep the link.
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        # As Jupyter itself creates this directory.
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, draft)
        os.replace(draft, target)
    except OSError as error:
        raise SettingError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        # It is there only if something went wrong, and then the error tells more than this one.
        with suppress(OSError):
            draft.unlink()
