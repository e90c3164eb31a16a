"""Zero-shot active learning (arXiv 2401.01690): features learned without labels decide, once, what to label."""
