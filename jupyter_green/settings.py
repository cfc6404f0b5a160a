"""What can be set, as a frozen value that travels from the kernel to its recorder.

The traitlets face of these settings (configuration files, ``%config``) is
:mod:`jupyter_green.configurable`; the recorder needs only the values.
"""

from __future__ import annotations

from msgspec import Struct

CPU_SOURCES = ("auto", "rapl", "perf", "pyrapl", "modelled")
"""What ``cpu_source`` may be: a file of ``sources/``, or the best of them that works."""

GPUS = ("used", "visible", "none")
"""What ``gpus`` may be: the devices that the notebook uses, all that it can see, or none."""

INTENSITY_PROVIDERS = ("", "electricity_maps", "uk")
"""What ``intensity_provider`` may be: a file of ``carbon/``, or none."""


class Settings(Struct, frozen=True, kw_only=True):
    """The settings in force for one session. Defaults are those of a local machine."""

    data_dir: str
    """Directory that holds ``sessions/`` (the journals) and ``running/``."""

    sysfs_root: str = "/sys"
    """Where sysfs is mounted; containers often mount the host's as ``/host/sys``."""

    procfs_root: str = "/proc"
    """Where procfs is mounted."""

    cpu_source: str = "auto"
    """What the CPU's energy is read with, one of ``CPU_SOURCES``."""

    gpus: str = "used"
    """Which GPUs count, one of ``GPUS``."""

    place: str | None = None
    """Country as ISO 3166-1 code or English name, US state or cloud region; None: that of the
    cloud region if the machine names one, else CO2 is not computed."""

    instance_data: str = "/run/cloud-init/instance-data.json"
    """File in which cloud-init names the cloud region; empty: the machine is not asked for it."""

    intensity_provider: str = ""
    """Who is asked for live carbon intensities, one of ``INTENSITY_PROVIDERS``. Empty: nobody."""

    zone: str | None = None
    """The provider's name of the place: a zone of Electricity Maps, a British postcode's first
    half; None: the zone of the country ``place``, the whole of Great Britain."""

    intensity_url: str = ""
    """Address of the provider, where it is not its usual one."""

    intensity_token_file: str = ""
    """File that holds the provider's token, where the environment does not. The token itself is no
    setting: settings are shown, and travel."""

    intensity_interval_s: float = 1800.0
    """Seconds between two requests to the provider."""

    pue: float = 1.0
    """Power usage effectiveness of the place where the machine stands (1.0: no overhead)."""

    price_per_kwh: float | None = None
    """Price of a kilowatt-hour in ``currency``; None: no cost is shown."""

    currency: str = "EUR"
    """Currency of ``price_per_kwh``."""

    cpu_idle_w: float | None = None
    """Watts of the idle CPU, for the model; None: from the machine or the table."""

    cpu_max_w: float | None = None
    """Watts of the fully busy CPU, for the model; None: from the machine or the table."""

    calibration: float = 1.0
    """Factor from a wall meter that multiplies modelled watts."""

    project: str | None = None
    """Tag under which sessions are added up."""

    keep_source: bool = False
    """Keep the whole source of each cell in the journal (else first line and hash)."""

    retention_days: float | None = None
    """Sessions that ended longer ago are deleted; None: all are kept."""

    idle_interval_s: float = 1.0
    """Seconds between two samples while no cell runs."""

    busy_interval_s: float = 0.1
    """Seconds between two samples while a cell runs."""
