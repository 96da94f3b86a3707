"""Rows for items that a table lacks, by what the catalogue says of them."""
