"""A night in Dagster. If a person is needed, it fails, and Dagster does not start it again."""

import json
import subprocess

from dagster import Definitions, Failure, ScheduleDefinition, job, op

NIGHT = ["importer", "nightly", "/srv/importer/inbox", "--config", "/etc/importer/importer.yaml"]


@op
def night() -> dict:
    done = subprocess.run([*NIGHT, "--format", "json"], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):  # 1: some rows were rejected; the message says which
        raise Failure(done.stdout, allow_retries=False)
    return json.loads(done.stdout)["rows"]


@job(tags={"dagster/max_retries": "0"})  # importer itself retries what is safe to retry
def importer_night() -> None:
    night()


nightly = ScheduleDefinition(
    job=importer_night, cron_schedule="0 2 * * *", execution_timezone="Europe/London"
)
definitions = Definitions(jobs=[importer_night], schedules=[nightly])
