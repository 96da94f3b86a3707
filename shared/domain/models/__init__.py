"""What a model is when it is served: its manifest, rules, mixture and deltas, and who is champion."""
