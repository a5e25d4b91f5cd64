"""A real Slurm cluster of one node for the tests: munged, slurmctld and slurmd of Debian's packages."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

INSTALL = "apt-get install slurm-wlm munge"
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_PATH = os.environ.get("PATH", "") + os.pathsep + os.pathsep.join(["/usr/sbin", "/usr/local/sbin", "/sbin"])
_READY_S = 30.0


def require_slurm() -> None:
    """Skips the test if the programs are missing or cannot run; fails it with AOI_SLURM=required."""
    absent = [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]
    reason = f"{absent[0]} is missing: {INSTALL}" if absent else None
    if reason is None and os.geteuid() != 0:
        reason = "only root can start Slurm's daemons"
    if reason is None:
        return
    if os.environ.get("AOI_SLURM") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Cluster:
    """Partitions: ``oheogulch``, named as on Intel's cloud, with a limit of two minutes; ``cpu``, of an hour."""

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        for name in names:
            log = (self.folder / f"{name}.out").open("ab")
            self.daemons[name] = subprocess.Popen(
                _COMMANDS[name](self.folder), env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def revive(self) -> None:
        """Starts missing daemons, in case a failed test has killed some."""
        self.start(*(name for name in _COMMANDS if name not in self.daemons))

    def wait_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            answer = subprocess.run(
                ["sinfo", "--noheader", "--format=%T"], env=self.environment, capture_output=True, text=True
            )
            states = set(answer.stdout.split())
            if states and states <= {"idle", "mixed", "allocated"}:
                return
            if states & {"down", "down*", "drained", "drained*", "unknown*"}:
                self.run("scontrol", "update", f"nodename={_host()}", "state=resume", check=False)
            time.sleep(0.2)
        logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(self.folder.glob("*.log")))
        said = answer.stdout + answer.stderr
        raise RuntimeError(f"the Slurm cluster was not ready within {_READY_S:g} s: {said}\n{logs}")

    def run(self, *command: str, check: bool = True) -> str:
        answer = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if check and answer.returncode:
            raise RuntimeError(f"{' '.join(command)}: {answer.stderr}")
        return answer.stdout

    def stop(self) -> None:
        if "slurmctld" in self.daemons:
            self.run("scancel", "--partition=oheogulch", check=False)
            self.run("scancel", "--partition=cpu", check=False)
            time.sleep(0.5)
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.daemons:
                self.daemons[name].terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons.clear()
        subprocess.run(["pkill", "-KILL", "-f", f"slurmstepd.*{self.folder}"], check=False)


_COMMANDS = {
    "munged": lambda folder: [
        _program("munged"), "--foreground", "--force", f"--socket={folder}/munge.socket",
        f"--key-file={folder}/munge.key", f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
        f"--seed-file={folder}/munged.seed", "--num-threads=2",
    ],
    "slurmctld": lambda folder: [_program("slurmctld"), "-D", "-f", f"{folder}/slurm.conf"],
    "slurmd": lambda folder: [_program("slurmd"), "-D", "-f", f"{folder}/slurm.conf"],
}  # fmt: skip


def _program(name: str) -> str:
    return shutil.which(name, path=_PATH) or name


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _configuration(folder: Path) -> str:
    controller, node = _free_ports(2)
    return f"""
ClusterName=aoi
SlurmctldHost={_host()}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=86400
KillWait=5
SlurmdTimeout=10
BatchStartTimeout=20
JobRequeue=1
NodeName={_host()} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=oheogulch Nodes=ALL MaxTime=2 Default=YES State=UP
PartitionName=cpu Nodes=ALL MaxTime=60 State=UP
"""


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Runs a cluster, with SLURM_CONF set for this process, and removes all of it at the end."""
    require_slurm()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    (folder / "slurm.conf").write_text(_configuration(folder))
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ.update(SLURM_CONF=str(folder / "slurm.conf"), PATH=_PATH)
    cluster = Cluster(folder, dict(os.environ))
    try:
        cluster.start("munged")
        deadline = time.monotonic() + 10
        while not (folder / "munge.socket").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        cluster.start("slurmctld", "slurmd")
        cluster.wait_ready()
        yield cluster
    finally:
        cluster.stop()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
