"""The tables of the projections. Each service writes its own; all can be thrown away and folded anew from the log.

Keys (uint64) are stored as bigint with the same 64 bits; arrays as little-endian bytes.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()

events = sa.Table(
    "event",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("user_key", sa.BigInteger, nullable=False),
    sa.Column("event_type", sa.SmallInteger, nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("item_keys", sa.LargeBinary, nullable=False),
    sa.Column("item_values", sa.LargeBinary, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Index("events_of_user", "user_key", "position"),
    comment="The archive: every event of the log once. Written by ingestion.",
)

items = sa.Table(
    "item",
    metadata,
    sa.Column("item_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    comment="The catalogue: the newest version of each item. Written by ingestion.",
)

user_profiles = sa.Table(
    "user_profile",
    metadata,
    sa.Column("user_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    comment="What is known of users beside their behaviour, the newest version. Written by ingestion.",
)

projections = sa.Table(
    "projection",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    comment="How far each projection of the whole log has come.",
)

user_states = sa.Table(
    "user_state",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("user_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("departed", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False, server_default=""),
    sa.Column("position", sa.BigInteger, nullable=False, server_default="0", index=True),
    comment="Folded state of users, with its digest and the checkpoint it was stored at. Written by feature.",
)

item_counters = sa.Table(
    "item_counter",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("item_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    comment="Folded counters of items, partial sums by partition. Written by feature.",
)

checkpoints = sa.Table(
    "checkpoint",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("fold", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False, server_default=""),
    sa.Column("refold_position", sa.BigInteger, nullable=False, server_default="0"),
    comment="The position that a partition's stored state reflects, the fold that made it, the instance that may write "
    "it, and where the erasure ended that its items still have to be folded anew for, 0 for none. Written by feature.",
)

training_runs = sa.Table(
    "training_run",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, unique=True),
    sa.Column("start_time", sa.DateTime(timezone=True), nullable=False, index=True),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    comment="Training runs as TrainingRun messages. Written by trainer.",
)

models = sa.Table(
    "model",
    metadata,
    sa.Column("model_version", sa.Text, primary_key=True),
    sa.Column("bundle_digest", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False, index=True),
    sa.Column("champion", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("promoted", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("trained_to_position", sa.BigInteger, nullable=False),
    sa.Column("item_count", sa.Integer, nullable=False),
    sa.Column("metrics", JSONB, nullable=False),
    sa.Column("compared_with", sa.Text, nullable=False, server_default=""),
    sa.Column("continued_from", sa.Text, nullable=False, server_default=""),
    comment="The model registry. At most one champion. Written by trainer.",
)
sa.Index("one_champion", models.c.champion, unique=True, postgresql_where=models.c.champion)

promotions = sa.Table(
    "promotion",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("displaced", sa.Text, nullable=False),
    sa.Column("promote_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("request_id", sa.Text, unique=True),
    comment="Who became champion, when and why, in the order of the decisions. Written by trainer.",
)

erasure_works = sa.Table(
    "erasure_work",
    metadata,
    sa.Column("receipt_id", sa.Text, primary_key=True),
    sa.Column("receipt", sa.LargeBinary, nullable=False),
    comment="Erasures under way, with the counts of what was found. Written by ingestion.",
)

erasure_targets = sa.Table(
    "erasure_target",
    metadata,
    sa.Column("receipt_id", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    comment="Messages that an erasure under way has to delete. Written by ingestion.",
)

erasures = sa.Table(
    "erasure",
    metadata,
    sa.Column("receipt_id", sa.Text, primary_key=True),
    sa.Column("user_key", sa.BigInteger, nullable=False),
    sa.Column("first_position", sa.BigInteger, nullable=False),
    sa.Column("complete_position", sa.BigInteger, nullable=False),
    comment="Completed erasures; a model trained to a position from first to before complete is marked, and what was "
    "continued from it. By trainer.",
)
