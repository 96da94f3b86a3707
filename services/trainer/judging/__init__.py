"""Candidates, champions and baselines, asked the same questions."""
