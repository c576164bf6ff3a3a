"""The manifests of deploy/ against published schemas: python test_deploy.py [LIBRARY] [GOLDENS], with dist/ built.

Kubernetes' own objects are checked against the strict schemas of the package kubernetes-validate, those of KServe
against the classes that KServe generates from its custom resource definitions (the package kserve, of which nothing
else is loaded). Kustomizations are checked here for the files that they name; no cluster, image or kustomize is needed.
"""

import copy
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate.utils import latest_version, schema_contents

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
sys.path.insert(0, str(Path(__file__).parent / "ops"))

from golden import Tally  # noqa: E402

# The oldest that still has all of the fields in use, and the newest of the package.
VERSIONS = ("1.29", latest_version())
KSERVE = {"ServingRuntime": "V1alpha1ServingRuntime", "InferenceService": "V1beta1InferenceService"}
CORE = "io.k8s.api.core.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."


def manifests(folder):
    """Every object of a folder, by its file."""
    found = []
    for path in sorted((DEPLOY / folder).glob("*.yaml")):
        found += [(path, each) for each in yaml.safe_load_all(path.read_text()) if each is not None]
    return found


def find(objects, kind, name=None):
    return next(each for _, each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"]))


# --- Kubernetes' own objects


def valid(manifest, version):
    """None, or what the schema of a version of Kubernetes says against an object."""
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{list(error.path)}: {error.message}"
    return None


def check_core(tally, folder):
    for path, manifest in manifests(folder):
        if manifest["kind"] == "Kustomization":
            continue
        for version in VERSIONS:
            wrong = valid(manifest, version)
            tally.check(wrong is None, f"{path.name}, Kubernetes {version}: {wrong}")


# --- KServe's


def kserve_models():
    """Imports KServe's generated classes one by one: the package itself would import a model server's libraries."""
    folder = Path(importlib.util.find_spec("kserve").origin).parent
    for name, place in (("kserve", folder), ("kserve.models", folder / "models")):
        module = types.ModuleType(name)
        module.__path__ = [str(place)]
        sys.modules[name] = module
    configuration = types.ModuleType("kserve.configuration")
    configuration.Configuration = lambda: types.SimpleNamespace(client_side_validation=True)
    sys.modules["kserve.configuration"] = configuration

    def load(name):
        file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
        if not (folder / "models" / f"{file}.py").exists():
            return None
        return getattr(importlib.import_module(f"kserve.models.{file}"), name)

    return load


def check_type(load, kind, value, where):
    """Raises ValueError where a value is not of a type as KServe's classes name them."""
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list")
        for index, each in enumerate(value):
            check_type(load, match[1], each, f"{where}[{index}]")
    elif match := re.fullmatch(r"dict\(str, (.+)\)", kind):
        for key, each in value.items():
            check_type(load, match[1], each, f"{where}.{key}")
    elif kind in ("str", "int", "bool", "float", "object"):
        wanted = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}[kind]
        if not isinstance(value, wanted) or (kind == "int" and isinstance(value, bool)):
            raise ValueError(f"{where}: expected {kind}, got {value!r}")
    elif (cls := load(kind)) is not None:
        check_object(load, cls, value, where)
    else:
        check_kubernetes_type(kind, value, where)


def check_object(load, cls, value, where):
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object")
    attributes = {name: attribute for attribute, name in cls.attribute_map.items()}
    for name, each in value.items():
        if name not in attributes:
            raise ValueError(f"{where}: {cls.__name__} has no {name}")
        check_type(load, cls.openapi_types[attributes[name]], each, f"{where}.{name}")
    # The class itself refuses what lacks a required member.
    cls(**{attributes[name]: each for name, each in value.items()})


def check_kubernetes_type(kind, value, where):
    """A type of Kubernetes' own within one of KServe's."""
    folder = f"kubernetes-json-schema/v{latest_version()}-local-strict"
    definitions = schema_contents(f"{folder}/_definitions.json", latest_version())["$defs"]
    name = kind.removeprefix("V1")
    key = next(prefix + name for prefix in (CORE, META) if prefix + name in definitions)
    schema = {"$ref": f"#/$defs/{key}", "$defs": definitions}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        raise ValueError(f"{where}.{'.'.join(map(str, error.path))}: {error.message}")


def kserve_valid(load, manifest):
    """None, or what is wrong."""
    try:
        check_object(load, load(KSERVE[manifest["kind"]]), manifest, manifest["kind"])
    except ValueError as error:
        return str(error)
    return None


def check_kserve(tally):
    load = kserve_models()
    objects = manifests("kserve")
    for path, manifest in objects:
        wrong = kserve_valid(load, manifest)
        tally.check(wrong is None, f"{path.name}: {wrong}")
    runtime, service = find(objects, "ServingRuntime"), find(objects, "InferenceService")
    model = service["spec"]["predictor"]["model"]
    formats = [(each["name"], each["version"]) for each in runtime["spec"]["supportedModelFormats"]]
    tally.check(model["runtime"] == runtime["metadata"]["name"], "the service names the runtime")
    wanted = (model["modelFormat"]["name"], model["modelFormat"]["version"])
    tally.check(wanted in formats, "the runtime has the format")
    tally.check(model["protocolVersion"] in runtime["spec"]["protocolVersions"], "the runtime has the protocol")
    # The checks themselves: what is wrong must be found.
    for place, change in (
        ("a member that is not there", lambda r: r["spec"].update(supportedFormats=[])),
        ("a type", lambda r: r["spec"].update(multiModel="no")),
        ("a required member", lambda r: r["spec"].pop("containers")),
        ("a member of a container", lambda r: r["spec"]["containers"][0].update(imagePolicy="Always")),
        ("a type of a container", lambda r: r["spec"]["containers"][0]["ports"][0].update(containerPort="http")),
    ):
        broken = copy.deepcopy(runtime)
        change(broken)
        tally.check(kserve_valid(load, broken) is not None, f"{place} is found")
    tally.group("KServe")


# --- What belongs together


def pods(folder):
    deployments = [(path, each) for path, each in manifests(folder) if each["kind"] == "Deployment"]
    return [(path.name, each["spec"]["template"]["spec"]) for path, each in deployments]


def check_safety(tally, name, container, pod):
    """What the restricted Pod Security Standard asks, and a root file system that cannot be written."""
    own, shared = container["securityContext"], pod.get("securityContext", {})
    either = {**shared, **own}
    tally.check(either["runAsNonRoot"] and either["runAsUser"] == 10001, f"{name}: not root")
    tally.check(either["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: seccomp")
    tally.check(own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"], f"{name}: read only")
    tally.check(own["capabilities"] == {"drop": ["ALL"]}, f"{name}: no capabilities")
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    tally.check({"cpu", "memory"} <= set(limits) and {"cpu", "memory"} <= set(requests), f"{name}: resources")
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    tally.check(mounts.get("tmp") == "/tmp", f"{name}: somewhere to write")
    tally.check(set(mounts) <= {each["name"] for each in pod["volumes"]}, f"{name}: its volumes are there")


def check_server(tally):
    objects = manifests("kubernetes")
    deployment, service = find(objects, "Deployment"), find(objects, "Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    check_safety(tally, "server", container, pod)
    chosen = {
        "deployment": deployment["spec"]["selector"]["matchLabels"],
        "service": service["spec"]["selector"],
        "disruption budget": find(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        "network policy": find(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    }
    for name, selector in chosen.items():
        tally.check(selector.items() <= labels.items(), f"the {name} chooses the server's pods")
    config = yaml.safe_load(find(objects, "ConfigMap")["data"]["freqfusion.yaml"])["server"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    tally.check(ports == {"http": config["port"], "grpc": config["grpcPort"]}, "ports are those of the config")
    tally.check({each["targetPort"] for each in service["spec"]["ports"]} == set(ports), "the service has both ports")
    cores = int(container["resources"]["limits"]["cpu"])
    tally.check(config["threads"] == cores, "a thread for every CPU of the limit")
    grace = pod["terminationGracePeriodSeconds"]
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    tally.check(grace > wait + config["shutdownTimeout"] / 1000, f"{grace} s are longer than preStop and draining")
    for probe, path in (("startup", "ready"), ("readiness", "ready"), ("liveness", "live")):
        tally.check(container[f"{probe}Probe"]["httpGet"]["path"] == f"/v2/health/{path}", f"{probe} probe")
    mount = next(each for each in container["volumeMounts"] if each["name"] == "config")
    tally.check(f"{mount['mountPath']}/freqfusion.yaml" in container["args"], "the config is where the command looks")
    scaler = find(objects, "HorizontalPodAutoscaler")["spec"]
    tally.check(scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"], "the autoscaler's target")
    tally.check("replicas" not in deployment["spec"], "replicas are the autoscaler's")
    tally.check(scaler["metrics"][0]["pods"]["metric"]["name"] == "freqfusion_queue_length", "the autoscaler's metric")
    broken = copy.deepcopy(deployment)
    broken["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    tally.check(valid(broken, VERSIONS[1]) is not None, "a member that is not there is found")
    tally.group("server")


def check_workers(tally):
    objects = manifests("jobs")
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    check_safety(tally, "worker", container, pod)
    secret = next(each for each in container["env"] if each["name"] == "FREQFUSION_REDIS")
    tally.check(secret["valueFrom"]["secretKeyRef"] == {"name": "freqfusion-redis", "key": "url"}, "Redis is a secret")
    claim = next(each for each in pod["volumes"] if each["name"] == "images")["persistentVolumeClaim"]["claimName"]
    tally.check(find(objects, "PersistentVolumeClaim")["metadata"]["name"] == claim, "the claim is there")
    # The command takes its options: what fails is the Redis that is not there, and not the usage.
    node, main = os.environ.get("FREQFUSION_NODE", "node"), str(ROOT / "dist" / "cli" / "main.js")
    env = {**os.environ, "FREQFUSION_REDIS": "redis://127.0.0.1:1"}
    run = subprocess.run([node, main, *container["args"]], env=env, capture_output=True, text=True)
    tally.check(run.returncode == 7 and "ERR_REDIS_CONNECT" in run.stderr, f"the worker's command: {run.stderr}")
    tally.group("workers")


def check_kustomizations(tally):
    for folder in ("kubernetes", "jobs"):
        objects = manifests(folder)
        kustomization = find([(path, {"metadata": {"name": None}, **each}) for path, each in objects], "Kustomization")
        files = {path.name for path, _ in objects} - {"kustomization.yaml"}
        tally.check(set(kustomization["resources"]) == files, f"{folder}: every file is a resource")
        (image,) = kustomization["images"]
        for name, pod in pods(folder):
            used = pod["containers"][0]["image"]
            tally.check(used == f"{image['name']}:{image['newTag']}", f"{folder}/{name}: the image is {used}")
    tally.group("kustomizations")


def check_dockerfile(tally):
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    bases = [rest.split()[0] for word, rest in lines if word == "FROM"]
    tally.check(bases == ["node:20-bookworm-slim"] * 2, f"two stages on one base: {bases}")
    last = lines[max(i for i, (word, _) in enumerate(lines) if word == "FROM") :]
    words = dict(last)
    tally.check(words["USER"] == "10001:10001", "a user by number, who is not root")
    tally.check(words["ENTRYPOINT"].startswith("[") and words["CMD"].startswith("["), "signals reach the process")
    tally.check(not any(word == "RUN" for word, _ in last), "nothing is built or installed in the last stage")
    copied = [rest for word, rest in last if word == "COPY"]
    tally.check(all(rest.startswith("--from=build ") for rest in copied), "sources stay behind")
    tally.check(words["ENTRYPOINT"] == '["node", "/app/dist/cli/main.js"]', "the command")
    tally.group("Dockerfile")


if __name__ == "__main__":
    tally = Tally()
    for folder in ("kubernetes", "jobs"):
        check_core(tally, folder)
    tally.group("schemas")
    check_server(tally)
    check_workers(tally)
    check_kserve(tally)
    check_kustomizations(tally)
    check_dockerfile(tally)
    tally.finish()
