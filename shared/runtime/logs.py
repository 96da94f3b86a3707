"""JSON logs on standard output, one object a line, with the service's name and the request id where there is one."""

from __future__ import annotations

import logging
import sys

import orjson
import structlog


def configure_logs(service: str, level: str) -> None:
    """Send structlog's and the standard library's logs of at least `level` through one JSON renderer."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _naming(service),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_render)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        # A logger that is kept for good would outlive another configuration, such as the next test's.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    renderer = structlog.processors.JSONRenderer(serializer=_render)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(
        handlers=[handler], level=max(logging.WARNING, getattr(logging, level.upper())), force=True
    )


def _naming(service: str) -> structlog.types.Processor:
    def add(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["service"] = service
        return event

    return add


def _render(event: object, **_options: object) -> str:
    return orjson.dumps(event, default=str).decode()
