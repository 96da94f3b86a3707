"""Ways to judge: what is learned first, which questions are asked, and what may be known when they are answered."""
