"""What is kept of users, and how events change it."""
