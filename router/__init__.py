"""Spend compute where it pays: the service that decides, samples, stops, selects and logs."""
