"""In the process that learns: from the archive to a packed bundle."""
