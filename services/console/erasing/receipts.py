"""An erasure's receipt for people and for programs."""

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from services.console.output import titled

_COUNTS = {
    "deleted_events": "events deleted and overwritten",
    "deleted_archive_rows": "rows of the archive deleted",
    "deleted_profiles": "versions of the profile deleted and overwritten",
    "deleted_exposures": "exposures deleted and overwritten",
    "deleted_dead_letters": "dead letters deleted and overwritten",
}


def receipt_document(receipt: ErasureReceipt) -> dict[str, Any]:
    """The receipt as JSON shows it; the key as 16 hexadecimal digits, times in RFC 3339."""
    complete = receipt.HasField("complete_time")
    return {
        "receipt_id": receipt.receipt_id,
        "user_key": f"{receipt.user_key:016x}",
        "request_time": receipt.request_time.ToJsonString(),
        "complete_time": receipt.complete_time.ToJsonString() if complete else None,
        "position": receipt.position,
        "first_position": receipt.first_position,
        **{name: getattr(receipt, name) for name in _COUNTS},
        "model_versions": list(receipt.model_versions),
    }


def receipt_table(receipt: ErasureReceipt) -> RenderableType:
    """The receipt for people."""
    table = Table("what", "number", title=titled(f"Erasure {receipt.receipt_id}"))
    for name, words in _COUNTS.items():
        table.add_row(words, f"{getattr(receipt, name):,}")
    table.add_row("position of the log at which it stands", f"{receipt.position:,}")
    table.add_row("models that learned from the user", Text(", ".join(receipt.model_versions) or "none"))
    return table
