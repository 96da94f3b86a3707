"""Everything that runs Freshet somewhere: launcher, container images, compose, and their lint."""
