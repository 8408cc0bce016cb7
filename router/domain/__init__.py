"""The words of the router as data: plans, verdicts, forecasts, usage, decisions, events. No behaviour to speak of."""
