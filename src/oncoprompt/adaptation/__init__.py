"""From synthetic to real: ways of training that use scans without, or with few, labels."""
