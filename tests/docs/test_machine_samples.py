"""The samples for several machines are valid, and name commands, settings and secrets that exist.

The schema of the Compose Specification is in the package compose-viz, as models; the schemas of
Kubernetes are in kubernetes-validate.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from compose_viz.spec.compose_spec import ComposeSpecification
from pydantic import ValidationError
from ruamel.yaml import YAML

from importer.settings import load_settings
from tests.integration.nightly.test_schedules import parsed

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples" / "machines"
COMPOSE: Any = YAML(typ="safe").load(SAMPLES / "compose.yaml")
OBJECTS: list[Any] = list(YAML(typ="safe").load_all(SAMPLES / "kubernetes.yaml"))
NAMES = [f"{each['kind']} {each['metadata']['name']}" for each in OBJECTS]
SECRETS = {"POPP_API_KEY", "POPP_ORGANIZATION_ID", "IMPORTER_HMAC_KEY"}


def pod_of(found: Any) -> Any:
    """Return the pod of a job, a cron job or a deployment; None for a service."""
    spec = found["spec"]
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    return spec.get("template", {}).get("spec")


PODS = [pod for pod in map(pod_of, OBJECTS) if pod]
CONTAINERS = [container for pod in PODS for container in pod["containers"]]


def test_compose_takes_its_file() -> None:
    """Every key is one of the specification; a wrong one is noticed."""
    specified = {key: value for key, value in COMPOSE.items() if not key.startswith("x-")}
    ComposeSpecification.model_validate(specified)
    wrong = copy.deepcopy(specified)
    wrong["services"]["worker"]["comand"] = []
    with pytest.raises(ValidationError, match=r"services\.worker\.comand"):
        ComposeSpecification.model_validate(wrong)


def test_the_services_start_in_order_and_share_what_they_need() -> None:
    """The database, then the upgrade, then everything else; with the same image and secrets."""
    ours = {name: each for name, each in COMPOSE["services"].items() if name != "database"}
    assert set(ours) == {"upgrade", "worker", "server"}
    for name, service in ours.items():
        parsed(service["command"])
        before = service["depends_on"]
        wanted = "database" if name == "upgrade" else "upgrade"
        assert set(before) == {wanted}
        assert set(service["secrets"]) == SECRETS == set(COMPOSE["secrets"])
    assert len({each["image"] for each in ours.values()}) == 1
    for volume in (each.split(":")[0] for service in ours.values() for each in service["volumes"]):
        assert (
            (SAMPLES / volume).exists() if volume.startswith(".") else volume in COMPOSE["volumes"]
        )


@pytest.mark.parametrize("found", OBJECTS, ids=NAMES)
def test_kubernetes_takes_each_object(found: Any) -> None:
    """Every key is one of its schemas; a wrong one is noticed."""
    assert kubernetes_validate.validate(found, "1.33", strict=True) == "1.33"
    wrong = {**found, "spec": {**found["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="'replica' was unexpected"):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_pods_run_commands_that_exist_and_mount_what_they_have() -> None:
    """Secrets are given by name; each container has the same image."""
    for pod in PODS:
        (container,) = pod["containers"]
        parsed(container["args"])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert {"secretRef", "value"} & set(container["env"][1]) == set()
    assert len({each["image"] for each in CONTAINERS}) == 1
    assert [each["args"][0] for each in CONTAINERS] == ["upgrade", "work", "serve", "nightly"]


def test_the_service_finds_the_page() -> None:
    """By the labels and the port of the server's pods, on which the settings let it listen."""
    (service,) = [each for each in OBJECTS if each["kind"] == "Service"]
    (server,) = [each for each in OBJECTS if each["metadata"]["name"] == "importer-server"][:1]
    assert service["spec"]["selector"] == server["spec"]["template"]["metadata"]["labels"]
    (port,) = pod_of(server)["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    settings = load_settings(SAMPLES / "importer.yaml", {})
    assert settings.listen == f"0.0.0.0:{port['containerPort']}"
    assert COMPOSE["services"]["server"]["ports"] == [f"127.0.0.1:{port['containerPort']}:8766"]


def test_the_settings_of_all_machines() -> None:
    """A server's ledger without its password, and people are contacted by day."""
    settings = load_settings(SAMPLES / "importer.yaml", {})
    assert settings.ledger == "postgresql://importer@database/importer"
    assert settings.send_between == "08:00-20:00"
