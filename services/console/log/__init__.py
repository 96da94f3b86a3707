"""The log itself: its catalogue, what was refused, and whether state is what it says."""
