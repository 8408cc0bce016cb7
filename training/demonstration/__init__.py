"""The demo's parts: `prepare` splits and blinds, `serve` asks a real server, `score` alone sees held-out rewards."""
