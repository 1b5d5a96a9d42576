"""The files that schedule a night say what the program understands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from importer.cli.main import cli

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples/nightly"
COMMAND = "importer nightly /srv/importer/inbox --config /etc/importer/importer.yaml"


def parsed(arguments: list[str]) -> None:
    """Raises where the command line does not take these arguments."""
    context = cli.make_context("importer", [], resilient_parsing=True)
    command = cli.get_command(context, arguments[0])
    assert command is not None
    command.make_context(arguments[0], arguments[1:])


def test_the_crontab_line_stands_in_the_readme() -> None:
    """Both say the same."""
    line = (SAMPLES / "importer.cron").read_text("utf-8").splitlines()[-1]
    assert line.endswith(COMMAND)
    assert line in (ROOT / "README.md").read_text("utf-8")
    parsed(COMMAND.split()[1:])


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


def test_the_container_builds_from_what_is_there() -> None:
    """Every file that it copies exists, and so does the command that it runs."""
    lines = (SAMPLES / "Containerfile").read_text("utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--" not in line]
    assert all((ROOT / name).exists() for names in copied for name in names)
    assert 'CMD ["nightly", "/data/inbox"]' in lines
