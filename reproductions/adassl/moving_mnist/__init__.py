"""AdaSSL's video experiment: a digit moves, changes its velocity once, and a network predicts where to."""
