"""How good answers and probabilities are, and how far traffic has moved."""
