"""Optimisers with the settings that solo-learn's CIFAR configs give them."""
