"""A session as a row of CodeCarbon's ``emissions.csv``, for tools that read it.

Columns and their order are those of ``EmissionsData`` in CodeCarbon 3.2 and 3.3
(codecarbon/output_methods/emissions_data.py, MIT). Their meaning is CodeCarbon's, too:

- energies are kWh **with** the PUE, as CodeCarbon multiplies each of them by it: the fold's energy
  times the PUE then in force. Powers are watts of the machine, without it.
- emissions are kg, their rate kg a second, memory GiB.

What is not known is empty, where CodeCarbon would write 0. That a figure is modelled or a lower
bound has no column; it stands beside the name of the program, in ``codecarbon_version``.
"""

from __future__ import annotations

import csv
import io
import re
import time

from jupyter_green.carbon.tables import places
from jupyter_green.report.exports.tabular import cell_text
from jupyter_green.report.inert import short
from jupyter_green.report.statement import counted, generator, gpus, intensities, listed
from jupyter_green.sessions.model import Session
from jupyter_green.units import UJ_PER_KWH, uj_to_j

COLUMNS = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration"),
    *("emissions", "emissions_rate", "cpu_power", "gpu_power", "ram_power"),
    *("cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "water_consumed"),
    *("country_name", "country_iso_code", "region", "cloud_provider", "cloud_region"),
    *("os", "python_version", "codecarbon_version", "cpu_count", "cpu_model"),
    *("gpu_count", "gpu_model", "longitude", "latitude", "ram_total_size", "tracking_mode"),
    *("cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent"),
    *("ram_used_gb", "on_cloud", "pue", "wue"),
)

_DOMAINS = {"package": "cpu", "cpu": "cpu", "dram": "ram", "gpu": "gpu"}
"""CodeCarbon's parts by the domains of our counters. Others are in the sum only."""
_CLOUD = re.compile(r"\((?P<provider>aws|azure|gcp):(?P<region>[a-z0-9-]+)\)$")
"""How our tables call the region of a cloud: ``Paris (gcp:europe-west9)``."""


def render(session: Session) -> str:
    """The header and one row, the whole session."""
    fields = {
        **_about(session),
        **_emissions(session),
        **_parts(session),
        **_place(session),
        **_hardware(session),
    }
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerow(_text(fields.get(column)) for column in COLUMNS)
    return file.getvalue()


def _text(value: object) -> str:
    return cell_text(short(value) if isinstance(value, str) else value)


def _about(session: Session) -> dict[str, object]:
    notebook = re.split(r"[\\/]", session.notebook or "")[-1]
    ended = time.localtime(session.ended_wall_s)
    return {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", ended),
        "project_name": session.project or notebook,
        "run_id": session.id,
        "duration": session.duration_s,
        "tracking_mode": "machine",
        "codecarbon_version": f"{generator()} ({'; '.join(_reservations(session))})",
    }


def _reservations(session: Session) -> list[str]:
    total = session.total
    if total.total_uj is None:
        return ["no energy counter could be read"]
    missing = [f"lower bound: {listed(total.missing)} missing"] if total.missing else []
    return [" + ".join(total.provenance), *missing]


def _emissions(session: Session) -> dict[str, object]:
    grams = session.co2_g(session.total)
    if grams is None:
        return {}
    seconds = session.duration_s
    rate = grams / 1000 / seconds if seconds > 0 else None
    return {"emissions": grams / 1000, "emissions_rate": rate}


# --- energy -------------------------------------------------------------------------------


def _parts(session: Session) -> dict[str, object]:
    """Energies of the parts, of their sum, and the mean powers."""
    fields: dict[str, object] = {"energy_consumed": consumed_kwh(session), "pue": _pue(session)}
    for part in ("cpu", "gpu", "ram"):
        energy_uj = _part_uj(session, part)
        fields[f"{part}_energy"] = _with_pue_kwh(session, energy_uj)
        fields[f"{part}_power"] = _power_w(session, energy_uj)
    return fields


def consumed_kwh(session: Session) -> float | None:
    """Energy with the PUE then in force, in kWh."""
    if session.total.total_uj is None:
        return None
    by_period = session.total.by_period.items()
    return sum(uj * session.periods[period].pricing.pue for period, uj in by_period) / UJ_PER_KWH


def _part_uj(session: Session, part: str) -> int | None:
    """Microjoules of the counters of one part; None: none of them was read."""
    names = [info.name for info in counted(session) if _DOMAINS.get(info.domain) == part]
    known = [session.total.uj[name] for name in names if name in session.total.uj]
    return sum(known) if known else None


def _pue(session: Session) -> float | None:
    """The one PUE of the session; None: it has changed."""
    known = {period.pricing.pue for period in session.periods}
    return known.pop() if len(known) == 1 else None


def _with_pue_kwh(session: Session, energy_uj: int | None) -> float | None:
    # Which part used how much under which PUE is not known where it has changed.
    pue = _pue(session)
    return None if energy_uj is None or pue is None else energy_uj * pue / UJ_PER_KWH


def _power_w(session: Session, energy_uj: int | None) -> float | None:
    if energy_uj is None or session.duration_s <= 0:
        return None
    return uj_to_j(energy_uj) / session.duration_s


# --- place and machine --------------------------------------------------------------------


def _place(session: Session) -> dict[str, object]:
    """CodeCarbon knows countries, with a code, and regions of clouds; other places are regions."""
    known = {one.place for one in intensities(session.periods)}
    if len(known) != 1:
        return {}
    name = known.pop()
    code = next((place.iso3 for place in places() if place.name == name), None)
    if code is not None:
        return {"country_name": name, "country_iso_code": code}
    cloud = _CLOUD.search(name)
    if cloud is None:
        return {"region": name}
    fields = {"cloud_provider": cloud["provider"], "cloud_region": cloud["region"]}
    return {"region": name, "on_cloud": "Y", **fields}


def _hardware(session: Session) -> dict[str, object]:
    machine, cards = session.machine, gpus(session)
    return {
        "os": machine.system,
        "python_version": machine.python,
        "cpu_count": machine.cores or None,
        "cpu_model": machine.cpu,
        "gpu_count": cards.total() or None,
        "gpu_model": ", ".join(f"{count} x {name}" for name, count in cards.items()),
        "ram_total_size": machine.memory_bytes / 2**30 if machine.memory_bytes else None,
    }
