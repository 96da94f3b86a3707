"""What every row measures with."""

DIMENSION = 64
"""D of vectors."""
HISTORY = 50
"""Events in a user's history."""
DOMAIN = "video"
"""The domain preset."""
