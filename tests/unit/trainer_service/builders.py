"""A job as the service gives it."""

from services.trainer.processes.reports import Job

JOB = Job(
    database_url="postgresql://somewhere/db",
    namespace="",
    domain="video",
    directory="/nowhere",
    to_position=100,
    max_minutes=0.1,
    seed=3,
    threads=1,
    niceness=0,
    hold_out_share=0.05,
    hold_out_rows=1000,
    min_users=10,
    history_length=8,
    code_revision="r1",
    log_level="info",
    encoder="gru",
    preset="base",
    loss="softmax",
    trim_share=0.0,
)
