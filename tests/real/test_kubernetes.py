"""The files of contrib/kubernetes: valid by Kubernetes' own schemas, hardened, in agreement with their unpage.toml, and
`unpage serve` runs with the arguments of the container and answers its probes."""

import subprocess
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import requests
from harness.manifests import gateway, of, sidecar
from harness.process import Child, free_port, until
from harness.proxy import binary, listening
from harness.recipes import replaced
from harness.scripted import PAGES, WHOLE

#: The schemas of a version with native sidecars, and the newest ones.
VERSIONS = ["1.29", "1.37"]
PLACES = {"gateway": gateway, "sidecar": sidecar}
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


@pytest.fixture(params=PLACES)
def documents(request) -> list[dict]:
    return PLACES[request.param]()


def pod(documents: list[dict]) -> dict:
    return of(documents, "Deployment")["spec"]["template"]["spec"]


def unpage(documents: list[dict]) -> dict:
    """The container of unpage."""
    containers = [*pod(documents).get("initContainers", []), *pod(documents)["containers"]]
    (found,) = [container for container in containers if container["name"] == "unpage"]
    return found


def config(documents: list[dict]) -> str:
    return of(documents, "ConfigMap")["data"]["unpage.toml"]


def size(text: str) -> int:
    """Bytes of `8GiB` and of `8Gi`."""
    text = text.removesuffix("B")
    return int(text[:-2]) * UNITS[text[-2:]]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_accept_all_documents(documents, version):
    checked = [one for one in documents if one["kind"] != "HTTPRoute"]
    assert len(checked) >= 2
    for document in checked:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelled_key_is_refused():
    document = of(gateway(), "Deployment")
    document["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def test_the_container_has_no_rights(documents):
    inherited = pod(documents).get("securityContext", {})
    settings = {**inherited, **unpage(documents)["securityContext"]}
    assert settings["runAsNonRoot"] and settings["runAsUser"] == 65532
    assert settings["readOnlyRootFilesystem"] and not settings["allowPrivilegeEscalation"]
    assert settings["capabilities"] == {"drop": ["ALL"]}
    assert settings["seccompProfile"] == {"type": "RuntimeDefault"}


def test_a_stop_fits_into_the_time_that_the_pod_has(documents):
    seconds = pod(documents)["terminationGracePeriodSeconds"]
    variables = {one["name"]: one["value"] for one in unpage(documents)["env"]}
    assert variables["TERMINATION_GRACE_PERIOD_SECONDS"] == str(seconds)
    assert "grace" not in tomllib.loads(config(documents)).get("drain", {})
    assert seconds >= 60
    assert "lifecycle" not in unpage(documents)


def test_volumes_hold_what_the_configuration_promises(documents):
    snapshots = tomllib.loads(config(documents))["snapshots"]
    volumes = {volume["name"]: volume for volume in pod(documents)["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in unpage(documents)["volumeMounts"]}
    folder = mounts[str(Path(snapshots["dir"]).parent)]["emptyDir"]
    assert "medium" not in folder and size(snapshots["disk"]) < size(folder["sizeLimit"])
    # Pages ahead wait in TMPDIR, and the root file system is read-only.
    assert "medium" not in mounts["/tmp"]["emptyDir"] and size(mounts["/tmp"]["emptyDir"]["sizeLimit"]) >= 1 << 30
    assert size(unpage(documents)["resources"]["limits"]["memory"]) >= 2 * size(snapshots["memory"])
    for folder in ("/etc/unpage", "/run/secrets/unpage"):
        assert (folder in mounts) == (folder in config(documents) + str(unpage(documents)["args"])), folder
    assert not [path for path in mounts if any(path.startswith(f"{other}/") for other in mounts)], "a mount in a mount"


def test_selectors_and_ports_lead_to_the_pods():
    documents = gateway()
    labels = of(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    service = of(documents, "Service")
    assert service["spec"]["selector"] == labels
    assert of(documents, "Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert of(documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert of(documents, "PodDisruptionBudget")["spec"]["maxUnavailable"] < of(documents, "Deployment")["spec"]["replicas"]
    assert service["spec"]["sessionAffinity"] == "ClientIP"
    (port,) = service["spec"]["ports"]
    ports = {one["name"]: one["containerPort"] for one in unpage(documents)["ports"]}
    assert ports[port["targetPort"]] == int(tomllib.loads(config(documents))["listen"].split(":")[1])
    (rule,) = of(documents, "HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": port["port"]}]


def test_the_sidecar_starts_before_the_application():
    first, *others = pod(sidecar())["initContainers"]
    assert (first["name"], first["restartPolicy"]) == ("unpage", "Always")
    assert "startupProbe" in first and "readinessProbe" not in first
    assert [one["name"] for one in others] == ["migrate"]
    assert [one["name"] for one in pod(sidecar())["containers"]] == ["application"]


def test_the_container_serves_and_answers_its_probes(documents, scripted, tmp_path: Path):
    upstream = scripted()
    container = unpage(documents)
    text = config(documents)
    listen, admin = free_port(), free_port()
    host = tomllib.loads(text)["listen"].split(":")[0]
    values = {
        f'listen = "{host}:8080"': f'listen = "127.0.0.1:{listen}"',
        "0.0.0.0:9090": f"127.0.0.1:{admin}",
        "/var/lib/unpage/snapshots": tmp_path / "state" / "snapshots",
        "http://orders.default.svc.cluster.local": upstream.url,
        'path = "/{*rest}"': f'path = "/orders"\nrecords = "data"\nkey = "id"\npagination = {upstream.PAGINATION}',
    }
    for secret in ("admin_token", "token"):
        if f"/run/secrets/unpage/{secret}" in text:
            (tmp_path / secret).write_text(f"a {secret}".replace(" ", "-"))
            values[f"/run/secrets/unpage/{secret}"] = tmp_path / secret
    (tmp_path / "state").mkdir()
    file = tmp_path / "unpage.toml"
    file.write_text(replaced(text, values))
    arguments = [argument.replace("/etc/unpage/unpage.toml", str(file)) for argument in container["args"]]
    environment = {one["name"]: one["value"] for one in container["env"]}
    child = Child([str(binary()), *arguments], tmp_path / "serve.log", environment)
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    try:
        listening(child)
        answers = {}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                asked = container[probe]["httpGet"]
                assert ports[asked["port"]] == 9090
                answers[probe] = f"http://127.0.0.1:{admin}{asked['path']}"
        assert {url: requests.get(url, timeout=20).status_code for url in answers.values()} == dict.fromkeys(answers.values(), 200)
        stream = requests.get(f"http://127.0.0.1:{listen}/orders?_format=ndjson", timeout=20)
        assert stream.content == WHOLE and upstream.calls[PAGES] == 1
        child.process.terminate()
        if "delay" in text:
            until(lambda: requests.get(answers["readinessProbe"], timeout=20).status_code == 503, "the pod to be not ready")
            assert requests.get(answers["livenessProbe"], timeout=20).status_code == 200
            child.process.terminate()
        assert child.process.wait(20) == 0
    finally:
        child.stop()
        print(child.said())


def test_check_accepts_the_configuration(documents, tmp_path: Path):
    file = tmp_path / "unpage.toml"
    file.write_text(config(documents))
    done = subprocess.run([binary(), "check", file], capture_output=True, text=True, timeout=60)
    first, *others = done.stderr.splitlines()
    assert (done.returncode, first) == (0, f"{file}: ok, 1 collection"), done.stderr
    # Secrets are not here; nothing else is warned of.
    assert not [line for line in others if line.startswith("warning") and "/run/secrets/unpage/" not in line], done.stderr
