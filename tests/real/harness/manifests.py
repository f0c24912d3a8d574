"""The files of contrib/kubernetes, put together as `kubectl apply -k` would: what these two kustomizations use, and no more."""

from pathlib import Path

import yaml

from .process import REPOSITORY

FOLDER = REPOSITORY / "contrib" / "kubernetes"
#: An application as a user has it, in front of which the sidecar is put.
APPLICATION = """
apiVersion: apps/v1
kind: Deployment
metadata: { name: application, labels: { unpage: sidecar } }
spec:
  selector: { matchLabels: { app: application } }
  template:
    metadata: { labels: { app: application } }
    spec:
      initContainers: [{ name: migrate, image: application }]
      containers: [{ name: application, image: application, env: [{ name: API, value: "http://127.0.0.1:8080" }] }]
      volumes: [{ name: data, emptyDir: {} }]
"""


def gateway() -> list[dict]:
    """Everything of the gateway, also the route that a cluster without the Gateway API leaves out."""
    kustomization = read(FOLDER / "gateway" / "kustomization.yaml")
    known = {"apiVersion", "kind", "resources", "configMapGenerator", "images"}
    assert set(kustomization) <= known, kustomization
    documents = [read(FOLDER / "gateway" / name) for name in [*kustomization["resources"], "route.yaml"]]
    images = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in kustomization["images"]}
    for container in of(documents, "Deployment")["spec"]["template"]["spec"]["containers"]:
        container["image"] = images.pop(container["image"])
    assert not images
    return [*documents, *config_maps(FOLDER / "gateway", kustomization)]


def sidecar() -> list[dict]:
    """The application with the sidecar."""
    kustomization = read(FOLDER / "sidecar" / "kustomization.yaml")
    assert set(kustomization) <= {"apiVersion", "kind", "patches", "configMapGenerator"}, kustomization
    application = yaml.safe_load(APPLICATION)
    for patch in kustomization["patches"]:
        target = patch["target"]
        key, value = target["labelSelector"].split("=")
        assert (target["kind"], application["metadata"]["labels"][key]) == ("Deployment", value)
        change = read(FOLDER / "sidecar" / patch["path"])
        del change["metadata"]["name"]
        application = merged(application, change)
    return [application, *config_maps(FOLDER / "sidecar", kustomization)]


def read(file: Path) -> dict:
    return yaml.safe_load(file.read_text())


def of(documents: list[dict], kind: str) -> dict:
    """The only document of this kind."""
    found = [document for document in documents if document["kind"] == kind]
    assert len(found) == 1, (kind, len(found))
    return found[0]


def config_maps(folder: Path, kustomization: dict) -> list[dict]:
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"]},
            "data": {name: (folder / name).read_text() for name in generator["files"]},
        }
        for generator in kustomization["configMapGenerator"]
    ]


def merged(base, change):
    """A strategic merge: objects by their keys, lists by the names of their elements; a new element goes to the front, as in kustomize."""
    if isinstance(base, dict) and isinstance(change, dict):
        return {**base, **{key: merged(base[key], value) if key in base else value for key, value in change.items()}}
    if isinstance(base, list) and isinstance(change, list):
        named = {element["name"]: element for element in base}
        new = [element for element in change if element["name"] not in named]
        changes = {element["name"]: element for element in change}
        return [*new, *(merged(element, changes.get(name, {})) for name, element in named.items())]
    return change
