"""How to get at what is not measured: recipes for this machine, for its administrator to read.

Nothing here is ever run. What a source says itself (``Refusal.remedy``) is not said again; these
are the longer ways, which survive a reboot. Sources:

* Counters for root only, and why: CVE-2020-8694 and CVE-2020-8695, Intel-SA-00389,
  https://platypusattack.com (Lipp et al., "PLATYPUS: Software-based Power Side-Channel Attacks on
  x86", 2021); kernel commit 949dd0104c49 ("powercap: restrict energy meter to root access").
* udev and not tmpfiles first: the zones appear when their driver is loaded, which may be after
  systemd-tmpfiles ran ("a udev rule would be more suitable", systemd issue 1122). ``MODE`` and
  ``GROUP`` in a rule are for device nodes; attributes in sysfs need ``RUN`` (udev(7)). For ``z``:
  tmpfiles.d(5), which follows no link, hence the real paths.
* Containers: containerd's and moby's default specification masks ``/sys/devices/virtual/powercap``
  (containerd commit 40162a576232), and containerd's AppArmor profile denies it (commit
  cb804da21010), so that ``systempaths=unconfined`` alone may not do; a mount elsewhere is under
  neither. Podman: podman-run(1), ``--security-opt unmask``.
* Hubs: the options ``singleuser.storage.extraVolumes`` and ``extraVolumeMounts`` of Zero to
  JupyterHub, ``supplemental_gids`` of KubeSpawner, ``volumes`` and ``extra_host_config`` of
  DockerSpawner.
* perf_event: the kernel's ``Documentation/admin-guide/perf-security.rst``, ``sysctl/kernel.rst``.
* Driver: the kernel's ``drivers/powercap/Kconfig`` (INTEL_RAPL; AMD since Linux 5.11).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from jupyter_green.doctor.findings import Recipe, Step
from jupyter_green.doctor.surroundings import Surroundings
from jupyter_green.events import CounterInfo, Refusal
from jupyter_green.sources import modelled, perf, rapl

GROUP = "jupyter-green"
UDEV_RULE = "/etc/udev/rules.d/90-jupyter-green.rules"
TMPFILES_RULE = "/etc/tmpfiles.d/jupyter-green.conf"
SYSCTL_RULE = "/etc/sysctl.d/90-jupyter-green.conf"
HOST_SYS = "/host/sys"

_X86 = ("GenuineIntel", "AuthenticAMD", "HygonGenuine")
_GROUP_NUMBER = f"$(getent group {GROUP} | cut -d: -f3)"

SIDE_CHANNEL = (
    "who reads these counters can tell from the power what other programs on this machine "
    "compute, in the worst case their cryptographic keys (PLATYPUS, CVE-2020-8694 and "
    "CVE-2020-8695). So the recipe opens them to the members of a group, and not to everybody: "
    "put only those into it whom you trust with that"
)
WHOLE_NODE = (
    "the counters are those of the whole node, so everybody in this container sees when and how "
    "hard its other users compute; on a shared hub that is the side channel of CVE-2020-8694 "
    "(PLATYPUS). Every session then tells the energy of the node, not the share of this container"
)
WATCHES_ALL = (
    "more than the energy: who may count a whole CPU may also watch what runs on it. Prefer the "
    "group above where the counters' files can be opened"
)


def recipes(
    here: Surroundings,
    counters: Sequence[CounterInfo],
    refused: Sequence[Refusal],
    config_file: str,
) -> tuple[Recipe, ...]:
    """What would open more of this machine, the best first.

    Args:
        config_file: where this user's settings go.
    """
    return tuple(_recipes(here, counters, refused, config_file))


def _recipes(
    here: Surroundings,
    counters: Sequence[CounterInfo],
    refused: Sequence[Refusal],
    config_file: str,
) -> Iterator[Recipe]:
    reads = {info.source for info in counters}
    if here.zones.closed and not _is_declined(rapl.NAME, refused):
        yield _open(here)
    elif rapl.NAME in reads or _is_declined(rapl.NAME, refused) or here.hypervisor:
        pass
    elif here.container:
        yield _container(here, config_file)
    elif here.vendor in _X86 and not here.zones.found:
        yield _driver()
    remedy = next((r.remedy for r in refused if r.source == perf.NAME and r.remedy), "")
    if remedy and not here.container and (here.paranoid or 0) > 0:
        yield _perf(here.paranoid or 0)
    if modelled.NAME in reads:
        yield _model(here, config_file)


def _is_declined(source: str, refused: Iterable[Refusal]) -> bool:
    """The settings want another source."""
    return any(refusal.source == source and refusal.by_choice for refusal in refused)


# --- the counters' files ------------------------------------------------------------------


def _open(here: Surroundings) -> Recipe:
    """For a group. By udev, which also works when the driver is loaded late or anew."""
    kernels = "|".join(dict.fromkeys(f"{_interface(path)}:*" for path in here.zones.closed))
    file = "/sys%p/energy_uj"
    rule = (
        f'ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="{kernels}", '
        f'RUN+="/bin/chgrp {GROUP} {file}", RUN+="/bin/chmod 0440 {file}"'
    )
    return Recipe(
        title=f"Open the RAPL counters to a group, {GROUP}, for good",
        opens=SIDE_CHANNEL,
        steps=(
            _make_group(here),
            Step(
                text="Give it the counters whenever they appear, also after a reboot, and now:",
                lines=(
                    f"echo '{rule}' | sudo tee {UDEV_RULE}",
                    "sudo udevadm control --reload",
                    "sudo udevadm trigger --action=add --subsystem-match=powercap",
                ),
            ),
            _tmpfiles(here),
            *_after(here),
            Step(
                text="To undo it:",
                lines=(
                    f"sudo rm -f {UDEV_RULE} {TMPFILES_RULE}",
                    f"sudo chmod 0400 {' '.join(here.zones.closed)}",
                    f"sudo groupdel {GROUP}",
                ),
            ),
        ),
    )


def _tmpfiles(here: Surroundings) -> Step:
    """By exact paths; in a form that can be pasted with its indentation."""
    return Step(
        text="Or, where there is no udev, by systemd-tmpfiles (a driver that is loaded after it "
        "ran finds the counters closed again):",
        lines=(
            "printf '%s\\n' \\",
            *(f"  'z {path} 0440 root {GROUP} -' \\" for path in here.zones.closed),
            f"  | sudo tee {TMPFILES_RULE}",
            f"sudo systemd-tmpfiles --create {TMPFILES_RULE}",
        ),
    )


def _interface(path: str) -> str:
    """``intel-rapl`` of ``/sys/devices/.../intel-rapl:0/intel-rapl:0:1/energy_uj``."""
    return os.path.basename(os.path.dirname(path)).partition(":")[0]


def _make_group(here: Surroundings) -> Step:
    where = " on the host, not in this container" if here.container else ""
    who = "the user" if here.container else "you"
    return Step(
        text=f"As an administrator{where}, make the group and put {who} into it:",
        lines=(f"sudo groupadd --system --force {GROUP}", f'sudo usermod -aG {GROUP} "$USER"'),
    )


def _after(here: Surroundings) -> Iterator[Step]:
    file = here.zones.closed[0]
    if here.container:
        yield Step(
            text="Start the container with the number of the group (in Kubernetes "
            "securityContext.supplementalGroups, on a hub KubeSpawner.supplemental_gids):",
            lines=(f'docker run --group-add "{_GROUP_NUMBER}" ...',),
        )
    yield Step(
        text="Groups hold from the next login on (on a hub: from the server's next start). "
        f"Then check; the first line begins with -r--r----- 1 root {GROUP}:",
        lines=(f"ls -l {file}", "jupyter green doctor"),
    )


def _driver() -> Recipe:
    return Recipe(
        title="Load the driver of the RAPL counters, if this kernel has it",
        steps=(
            Step(
                text="This is an x86 processor and no virtual machine, and there are no zones. "
                "As an administrator, now and at every start:",
                lines=(
                    "sudo modprobe intel_rapl_msr",
                    "echo intel_rapl_msr | sudo tee /etc/modules-load.d/intel_rapl_msr.conf",
                ),
            ),
            Step(
                text="Then see what is there; the counters will be closed to all but root, and "
                "the doctor will know how to open them:",
                lines=("ls /sys/class/powercap", "jupyter green doctor"),
            ),
        ),
    )


# --- containers and hubs ------------------------------------------------------------------


def _container(here: Surroundings, config_file: str) -> Recipe:
    """By a mount beside the container's own sysfs, which masks and AppArmor do not reach."""
    docker, kubernetes = _docker(), _kubernetes()
    return Recipe(
        title="Show this container the host's RAPL counters",
        opens=WHOLE_NODE,
        steps=(
            *((kubernetes, docker) if here.kubernetes else (docker, kubernetes)),
            _docker_spawner(),
            Step(
                text=f"Say where they are, in {config_file} (or in /etc/jupyter of the image):",
                lines=(f'{{"JupyterGreen": {{"sysfs_root": "{HOST_SYS}"}}}}',),
            ),
            Step(
                text="On the host they are closed to all but root: run the doctor there, too, "
                "for the group; inside, root reads them without it. Then check:",
                lines=("jupyter green doctor",),
            ),
            Step(
                text="Why not just unmask them: runtimes hide /sys/devices/virtual/powercap, and "
                "to undo that shows all other hidden paths as well (docker), while an AppArmor "
                "profile may still deny it. If you want to all the same:",
                lines=(
                    "docker run --security-opt systempaths=unconfined ...",
                    "podman run --security-opt unmask=/sys/devices/virtual/powercap ...",
                ),
            ),
        ),
    )


def _docker() -> Step:
    return Step(
        text="Docker or Podman: mount the host's sysfs, read-only, beside the container's own "
        "(a user who is not root needs the group of the host as well):",
        lines=(f'docker run -v /sys:{HOST_SYS}:ro --group-add "{_GROUP_NUMBER}" ...',),
    )


def _docker_spawner() -> Step:
    return Step(
        text="JupyterHub with DockerSpawner, in jupyterhub_config.py:",
        lines=(
            f'c.DockerSpawner.volumes = {{"/sys": {{"bind": "{HOST_SYS}", "mode": "ro"}}}}',
            'c.DockerSpawner.extra_host_config = {"group_add": ["GID"]}',
        ),
    )


def _kubernetes() -> Step:
    return Step(
        text="JupyterHub on Kubernetes (Zero to JupyterHub), in the chart's values; GID is the "
        "number of the group on the nodes:",
        lines=(
            "singleuser:",
            "  storage:",
            "    extraVolumes:",
            "      - {name: host-sys, hostPath: {path: /sys, type: Directory}}",
            "    extraVolumeMounts:",
            f"      - {{name: host-sys, mountPath: {HOST_SYS}, readOnly: true}}",
            "hub:",
            "  config:",
            "    KubeSpawner:",
            "      supplemental_gids: [GID]",
        ),
    )


# --- what is left ---------------------------------------------------------------------------


def _perf(paranoid: int) -> Recipe:
    return Recipe(
        title="Or the same counters through perf_event, for good",
        opens=WATCHES_ALL,
        steps=(
            Step(
                text=f"kernel.perf_event_paranoid is {paranoid} and must be 0 or less:",
                lines=(
                    f"echo 'kernel.perf_event_paranoid = 0' | sudo tee {SYSCTL_RULE}",
                    f"sudo sysctl -p {SYSCTL_RULE}",
                    "jupyter green doctor",
                ),
            ),
            Step(
                text="To undo it:",
                lines=(
                    f"sudo rm {SYSCTL_RULE}",
                    f"sudo sysctl kernel.perf_event_paranoid={paranoid}",
                ),
            ),
        ),
    )


def _model(here: Surroundings, config_file: str) -> Recipe:
    title = "Make the model fit this machine"
    if here.hypervisor:
        title = "A virtual machine has no energy counters: make its model fit"
    node = "This container's node is itself a virtual machine: its sysfs would not help. "
    return Recipe(
        title=title,
        steps=(
            Step(
                text=(node if here.container and here.hypervisor else "")
                + "Its assumption stands with the counter above. Give it the watts of the idle "
                "and of the fully busy machine, from a wall meter or its maker (20 and 120 stand "
                f"for yours; of a virtual machine, its share of the host), in {config_file}:",
                lines=('{"JupyterGreen": {"cpu_idle_w": 20, "cpu_max_w": 120}}',),
            ),
            Step(
                text="Or a factor: what the wall meter says over what was shown, for the same "
                "work (1.15 stands for yours):",
                lines=('{"JupyterGreen": {"calibration": 1.15}}',),
            ),
        ),
    )
