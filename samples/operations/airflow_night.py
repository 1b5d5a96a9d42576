"""A night in Airflow. If a person is needed, it fails, and Airflow does not start it again."""

import json
import subprocess

import pendulum
from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task

NIGHT = ["importer", "nightly", "/srv/importer/inbox", "--config", "/etc/importer/importer.yaml"]


@task(retries=0)  # importer itself retries what is safe to retry
def night() -> dict:
    done = subprocess.run([*NIGHT, "--format", "json"], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):  # 1: some rows were rejected; the message says which
        raise AirflowFailException(done.stdout)
    return json.loads(done.stdout)["rows"]


@dag(
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    catchup=False,
    max_active_runs=1,
)
def importer_night() -> None:
    night()


importer_night()
