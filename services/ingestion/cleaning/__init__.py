"""What ingestion does to events before they enter the log, one step a file.

Decision: what a step fills in is added to the serialised event as bytes. A protobuf message that is followed by another
one's bytes is both merged, so the result is the same as if the fields had been set, at a tenth of the cost. What a step
changes, it changes in the event.
"""
