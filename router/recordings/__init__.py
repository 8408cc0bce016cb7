"""The parts of a recording: columns, cost rule, folder format, splits by text."""
