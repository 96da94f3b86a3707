"""What is counted of items, and how events change it."""
