"""Models: trained, listed, promoted and rolled back."""
