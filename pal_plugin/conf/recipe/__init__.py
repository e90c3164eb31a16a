"""Whole runs of AdaSSL's authors: data, pairs, augmentation, networks, optimiser and length."""
