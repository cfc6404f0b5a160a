"""What an examination finds: frozen values, which JSON holds as they are."""

from __future__ import annotations

from msgspec import Struct

from jupyter_green import __version__
from jupyter_green.events import CounterInfo, Intensity, Machine, Pricing, Refusal

VERSION = 1
"""Of the structure below; a change that old readers cannot take raises it."""

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Watched(Struct, frozen=True, kw_only=True):
    """One counter, as it says it is and as it was seen."""

    counter: CounterInfo
    power_w: float | None = None
    """Mean watts while nothing else was done; None: it could not be read, or restarted."""
    update_s: float | None = None
    """Median seconds between two changes, polled densely; None: too few were seen."""
    every_reading: bool = False
    """It moved at every reading: ``update_s`` is the time between two readings, and the counter
    moves as often or more."""
    step_uj: int | None = None
    """Smallest change that was seen, in microjoules."""
    bound_j: float | None = None
    """The bound of a cell of one second at this power."""
    problem: str = ""
    remedy: str = ""

    @property
    def name(self) -> str:
        return self.counter.name


class Compared(Struct, frozen=True, kw_only=True):
    """Mean watts of one counter over the same seconds, read in two ways."""

    counter: str
    ours_w: float
    theirs_w: float
    difference: float
    """Theirs above ours, as a share of ours."""


class SecondOpinion(Struct, frozen=True, kw_only=True):
    """What another reader says of the same counters."""

    reader: str = "pyRAPL"
    duration_s: float = 0.0
    compared: tuple[Compared, ...] = ()
    missing: str = ""
    """Why there is no such opinion."""
    remedy: str = ""


class Gpu(Struct, frozen=True, kw_only=True):
    """What is known of one GPU (or module) beside its counter."""

    counter: str
    name: str
    instances: int = 0
    """Into which MIG divides it."""
    used_by: tuple[str, ...] = ()
    """This user's notebooks (or sessions) whose processes have a context on it."""
    others: int | None = None
    """How many other processes have one; None: it cannot be known, see ``hidden``."""
    hidden: str = ""
    """Why the processes on it are not known."""
    readings: int = 0
    readings_w: float | None = None
    """Mean of so many power readings while the counter was watched."""
    difference: float | None = None
    """The power readings above the counter's power, as a share of that."""
    not_compared: str = ""
    """Why there is no such difference."""
    call_s: float | None = None
    """Median seconds that one reading of the counter takes."""


class RecorderCost(Struct, frozen=True, kw_only=True):
    """What one running recorder takes, on the average of its life."""

    session: str
    pid: int
    kernel_pid: int
    notebook: str | None
    running_s: float
    cpu_s_per_min: float
    """CPU seconds a minute; its start takes a tenth of a second and weighs while it is young."""
    memory_bytes: int
    """Resident, libraries that it shares with others included."""


class JournalPlace(Struct, frozen=True, kw_only=True):
    """Where sessions are kept, and how those that are there fare."""

    path: str
    problem: str = ""
    """Why nothing can be written there, or empty."""
    free_bytes: int | None = None
    sessions: int = 0
    size_bytes: int = 0
    looked_at: int = 0
    """The newest of them whose end was looked at."""
    no_goodbye: int = 0
    """Of these, how many ended without goodbye: a killed kernel, a lost machine."""
    read: int = 0
    """The newest of them that were read as a whole."""
    damaged: dict[str, int] = {}
    """Of these, those with lines that cannot be read, and how many."""


class Step(Struct, frozen=True, kw_only=True):
    """One step of a recipe: what it does, and the lines to type or to put into a file."""

    text: str
    lines: tuple[str, ...] = ()


class Recipe(Struct, frozen=True, kw_only=True):
    """How to get at what is not measured, for this machine."""

    title: str
    opens: str = ""
    """What it allows to whom, beyond what is wanted."""
    steps: tuple[Step, ...] = ()


class Check(Struct, frozen=True, kw_only=True):
    """One sentence about something that should be in order."""

    about: str
    verdict: str
    """ok, note or problem."""
    text: str
    remedy: str = ""


class Examination(Struct, frozen=True, kw_only=True):
    """All that the doctor found."""

    version: int = VERSION
    jupyter_green: str = __version__
    wall_s: float = 0.0
    """When, in seconds since the Unix epoch."""
    machine: Machine = Machine()
    container: bool = False
    hypervisor: bool = False
    """The processor says that a hypervisor runs it."""
    watched_s: float = 0.0
    """For so long the power was measured."""
    counters: tuple[Watched, ...] = ()
    power_w: float | None = None
    """Of the counters in the total that could be read; None: there are none."""
    bound_j: float | None = None
    """The bound of the total of a cell of one second at this power."""
    gpus: tuple[Gpu, ...] = ()
    gpus_counted: str = "used"
    """Which of them a session counts: JupyterGreen.gpus."""
    driver: str = ""
    """Version of NVIDIA's driver."""
    refused: tuple[Refusal, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    second_opinion: SecondOpinion = SecondOpinion()
    recorders: tuple[RecorderCost, ...] = ()
    journal: JournalPlace = JournalPlace(path="")
    intensity: Intensity | None = None
    pricing: Pricing = Pricing()
    settings_files: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Counters of the total that could not be read."""
        return tuple(w.name for w in self.counters if w.counter.counted and w.power_w is None)
