"""How good recommendations are: offline, and of a suite that runs."""
