"""The functions of NVIDIA's libraries, one module for each library: `run` calls all that it knows and prints a line for each call."""
