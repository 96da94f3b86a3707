"""Gradient steps: the plan, the loop, the losses, when to stop, and what is kept on the way."""
