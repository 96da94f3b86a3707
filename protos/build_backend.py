"""PEP 517 build backend: generates the Python code of the protos, then hands over to setuptools.

Generated code is built, never committed. It lands in `.generated/freshet` and is packaged as `freshet`.
`python protos/build_backend.py` does the same by hand (`make proto`).
"""

from pathlib import Path

from setuptools import build_meta as _setuptools
from setuptools.build_meta import *  # noqa: F403 - a backend re-exports every hook it does not change

PROTOS = Path(__file__).resolve().parent
GENERATED = PROTOS.parent / ".generated"


def generate() -> None:
    """Generate modules, type stubs and gRPC code of every proto. Raises RuntimeError when protoc refuses one."""
    import grpc_tools
    from grpc_tools import protoc

    GENERATED.mkdir(exist_ok=True)
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    out = [f"--{kind}={GENERATED}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    files = [str(path) for path in sorted(PROTOS.rglob("*.proto"))]
    if protoc.main(["protoc", f"-I{PROTOS}", f"-I{well_known}", *out, *files]) != 0:
        raise RuntimeError("protoc refused the protos; its message is above")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):  # type: ignore[no-untyped-def]
    generate()
    return _setuptools.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):  # type: ignore[no-untyped-def]
    generate()
    return _setuptools.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory, config_settings=None):  # type: ignore[no-untyped-def]
    generate()
    return _setuptools.build_sdist(sdist_directory, config_settings)


if __name__ == "__main__":
    generate()
