"""From ids, messages and bundles to bytes and numbers, and back. No I/O."""
