"""With which codes `freshet` ends, beside those of click: 0 fine, 1 failed, 2 wrong usage."""

INTERRUPTED = 130
"""What a shell shows of a process that Ctrl-C has ended: 128 and the signal's number."""
