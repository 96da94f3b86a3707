"""From users' states and a model to answers, and what is noted of them."""
