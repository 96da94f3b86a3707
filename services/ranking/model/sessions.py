"""Sessions of onnxruntime as they serve. The only file of the service that makes one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnxruntime

from shared.adapters.codecs.bundle import CorruptBundleError


class Session:
    """A graph that can be run. To another process it travels as the graph, and is opened anew there."""

    def __init__(self, graph: bytes, what: str, inputs: Collection[str], threads: int) -> None:
        """what: names the graph in messages. inputs: the names it must take. Raises CorruptBundleError."""
        self._opening = graph, what, tuple(inputs), threads
        self._session = _opened(graph, what, threads)
        names = {tensor.name for tensor in self._session.get_inputs()}
        if names != set(inputs):
            raise CorruptBundleError(f"the {what} takes {sorted(names)}, not {sorted(inputs)}")

    def __reduce__(self) -> tuple[type[Session], tuple[bytes, str, tuple[str, ...], int]]:
        return Session, self._opening

    def run(self, output: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """One output of the graph, by name. Raises what onnxruntime raises."""
        found: np.ndarray = self._session.run([output], inputs)[0]
        return found


def _opened(graph: bytes, what: str, threads: int) -> onnxruntime.InferenceSession:
    """A session whose memory goes back when it is dropped: without the arena, which keeps what it once had."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own for each kind of bad graph
        raise CorruptBundleError(f"onnxruntime refuses the {what}: {error}") from error
