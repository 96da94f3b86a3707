"""Where events, items, users and requests come in."""
