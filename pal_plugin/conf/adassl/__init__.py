"""AdaSSL's settings, as its authors have them for a data set."""
