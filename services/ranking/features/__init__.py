"""What the feature service tells of users and of trends, and what is remembered of it."""
