"""What those processes work on: events of the archive, exposures, and which of them may teach or judge."""
