"""Who ranks the catalogue for a history, and where what came next stands among it."""
