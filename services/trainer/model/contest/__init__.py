"""Who is judged: encoders by name and size that learn on, alone or mixed with rules."""
