"""Families of models; the only home of the libraries that fit them."""
