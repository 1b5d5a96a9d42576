"""The files that schedule a night say what the program understands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from importer.cli.main import cli
from importer.settings import load_settings
from tests.support.night_setup import candidate_list

if TYPE_CHECKING:
    from tests.support.night_setup import NightSetup

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "samples/nightly"
COMMAND = "importer nightly /srv/importer/inbox --config /etc/importer/importer.yaml"


def parsed(arguments: list[str]) -> None:
    """Raise if the command line does not take these arguments."""
    context = cli.make_context("importer", [], resilient_parsing=True)
    command = cli.get_command(context, arguments[0])
    assert command is not None
    command.make_context(arguments[0], arguments[1:], parent=context)


def test_the_crontab_line_stands_in_the_document() -> None:
    """Both say the same, with the variables that the line needs, and its commands exist."""
    *_, path, secrets, line = (SAMPLES / "importer.cron").read_text("utf-8").splitlines()
    assert (path.split("=")[0], secrets.split("=")[0]) == ("PATH", "IMPORTER_SECRETS_DIR")
    assert f"{path}\n{secrets}\n{line}" in (ROOT / "importer/docs/nightly.md").read_text("utf-8")
    mask, night = line.removeprefix("0 2 * * * importer ").split("; ")
    assert (mask, night) == ("umask 077", COMMAND)
    parsed(night.split()[1:])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """It finds no fault, with a program where the service expects it."""
    for name in ("importer.service", "importer.timer"):
        text = (SAMPLES / name).read_text("utf-8")
        assert name.endswith("timer") or f"/{COMMAND}" in text
        (tmp_path / name).write_text(text.replace("/opt/importer/bin/importer", sys.executable))
    units = [str(tmp_path / name) for name in ("importer.service", "importer.timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "importer." in line]
    assert (done.returncode, ours) == (0, [])


def test_the_cron_job_runs_a_command_that_exists() -> None:
    """Never two at once, never again by itself, and with every volume that it mounts."""
    job: Any = YAML(typ="safe").load(SAMPLES / "cronjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    parsed(container["args"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_settings_of_the_samples_name_hours_and_their_zone() -> None:
    """Nobody is contacted at night, and opt-outs are read before; paths are the units'."""
    settings = load_settings(SAMPLES / "importer.yaml", {})
    assert (settings.send_between, settings.timezone) == ("08:00-20:00", "Europe/London")
    assert settings.refresh_before
    assert settings.ledger_file == Path("/srv/importer/importer.db")


def test_kubernetes_takes_the_cron_job() -> None:
    """Every key is one of its schemas, and every value of the type that is wanted there."""
    job: Any = YAML(typ="safe").load(SAMPLES / "cronjob.yaml")
    assert kubernetes_validate.validate(job, "1.33", strict=True) == "1.33"
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["arg"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="'arg' was unexpected"):
        kubernetes_validate.validate(job, "1.33", strict=True)


def test_the_cron_job_finds_what_it_needs(
    setup: NightSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables are settings, and lie with the inbox on the volume that is kept."""
    job: Any = YAML(typ="safe").load(SAMPLES / "cronjob.yaml")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (volume,) = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "data"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    secrets = variables.pop("IMPORTER_SECRETS_DIR")
    assert secrets in {each["mountPath"] for each in container["volumeMounts"]}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = setup.inbox_settings.load()
    assert settings.ledger == f"sqlite:///{volume}/importer.db"
    assert str(settings.templates) == f"{volume}/templates"
    assert container["args"][1] == f"{volume}/inbox"


@pytest.mark.skipif(
    shutil.which("strace") is None or shutil.which("systemd-analyze") is None,
    reason="there is no strace or no systemd here",
)
def test_a_night_needs_no_system_call_that_the_service_forbids(
    setup: NightSetup, tmp_path: Path
) -> None:
    """What a whole night asks of the system, beside what the unit lets through."""
    setup.add_file("a.csv", candidate_list(0, 3))
    used = tmp_path / "calls"
    command = ("strace", "-f", "-o", str(used), sys.executable, "-m", "importer.cli.main")
    subprocess.run(
        [*command, "nightly", "inbox", "--quiet-s", "0"],
        cwd=setup.workspace.folder,
        env=setup.workspace.environment(),
        capture_output=True,
        check=True,
    )
    traced = used.read_text("utf-8", "replace")
    calls = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", traced, re.MULTILINE))
    unit = (SAMPLES / "importer.service").read_text("utf-8")
    (allowed, forbidden) = (
        set().union(*map(_calls, line.split("=")[1].lstrip("~").split()))
        for line in unit.splitlines()
        if line.startswith("SystemCallFilter=")
    )
    assert {"openat", "fsync", "rename"} <= calls
    assert calls - allowed == set()
    assert calls & forbidden <= {"fchown"}  # SQLite gives files to their owner, as root alone


def _calls(group: str) -> set[str]:
    """Return the system calls of one of systemd's groups."""
    result = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", group],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = {line.strip() for line in result.stdout.splitlines()[1:]} - {""}
    names = {line for line in lines if not line.startswith("#")}
    return set().union(*(_calls(name) if name.startswith("@") else {name} for name in names))


def test_the_wheel_is_whole(setup: NightSetup, tmp_path: Path) -> None:
    """Installed into a clean environment, as the container does, it checks and examines."""
    clean = tmp_path / "clean"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT)])
    run([sys.executable, "-m", "venv", "--without-pip", str(clean)])
    (wheel,) = tmp_path.glob("importer-*.whl")
    run([*pip, "--python", str(clean), "install", "--no-deps", "--no-index", str(wheel)])
    (site,) = clean.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))  # what the lock installs
    environment = {k: v for k, v in setup.workspace.environment().items() if k != "PYTHONPATH"}
    typed = partial(run, cwd=setup.workspace.folder, env=environment)
    program = str(clean / "bin/importer")
    assert typed([program, "--version"]).stdout.startswith("importer, version ")
    where = typed([str(clean / "bin/python"), "-c", "import importer; print(importer.__file__)"])
    assert where.stdout.startswith(str(clean))
    assert "WRONG" not in typed([program, "doctor", "inbox"]).stdout
    setup.add_file("a.csv", candidate_list(0, 3))
    result = typed([program, "nightly", "inbox", "--quiet-s", "0"])
    assert "3 conversations started from 1 file." in result.stdout
    assert len(list(setup.inbox.glob("done/*/a.csv.*"))) == 2


def test_the_container_builds_from_what_is_there() -> None:
    """Every file that it copies exists, and so does the command that it runs."""
    lines = (SAMPLES / "Containerfile").read_text("utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--" not in line]
    assert all((ROOT / name).exists() for names in copied for name in names)
    assert 'CMD ["nightly", "/data/inbox"]' in lines
