"""What the champion learns between full models."""
