"""Implicit spatio-temporal mixing: of anatomies along velocity fields, and of features inside a network."""
