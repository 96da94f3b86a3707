"""A simulated shop: shoppers with tastes that drift, half of whom get recommendations."""
