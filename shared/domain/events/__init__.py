"""Events as the folds take them, and as the trainer reads them."""
