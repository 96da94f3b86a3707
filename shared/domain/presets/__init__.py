"""What events mean in a domain: the presets that ship, and what they may say."""
