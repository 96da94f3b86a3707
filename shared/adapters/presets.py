"""Reads the domain presets that ship with Freshet, or one of the deployment's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml

from shared.domain.presets.preset import DomainPreset, PresetError

_SHIPPED = files("shared.domain.presets")


def shipped_presets() -> list[str]:
    """Names of the presets that ship with Freshet."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".yaml")
    )


def load_preset(name: str) -> DomainPreset:
    """The preset of that name, or of that YAML file. Raises PresetError naming what there is instead."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else _SHIPPED / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        known = ", ".join(shipped_presets())
        raise PresetError(f"there is no preset {name!r}; shipped are {known}, or give a .yaml file") from None
    except yaml.YAMLError as error:
        raise PresetError(f"preset {name} is no YAML: {error}") from error
    return DomainPreset.from_mapping(Path(name).stem, content)
