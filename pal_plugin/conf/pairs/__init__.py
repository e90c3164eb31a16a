"""Where the pairs of an adassl_* come from, and how they are augmented, unless a recipe says otherwise."""
