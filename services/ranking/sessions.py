"""Sessions of onnxruntime as they serve. The only file of the service that makes one."""

from __future__ import annotations

from collections.abc import Collection

import onnxruntime

from shared.adapters.bundle import CorruptBundleError


def open_session(
    graph: bytes, what: str, inputs: Collection[str], threads: int
) -> onnxruntime.InferenceSession:
    """A session whose memory goes back when it is dropped: without the arena, which keeps what it once had.

    what: names the graph in messages. inputs: the names it must take. Raises CorruptBundleError.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own for each kind of bad graph
        raise CorruptBundleError(f"onnxruntime refuses the {what}: {error}") from error
    names = {tensor.name for tensor in session.get_inputs()}
    if names != set(inputs):
        raise CorruptBundleError(f"the {what} takes {sorted(names)}, not {sorted(inputs)}")
    return session
