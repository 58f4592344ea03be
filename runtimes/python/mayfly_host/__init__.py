"""Hosts a function in Python: finds its handler, speaks to it in its own way, tells its errors."""
