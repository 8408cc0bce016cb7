"""Is the world still the one that was learned? One file per kind of drift; each says what it saw, and how sure it is.

backend_rewards.py   a backend earns more or less than before: since when (a model was swapped behind its address)
inputs.py            queries look otherwise than those that were learned from
calibration.py       what is expected is no longer what is earned; and the curve that would mend it
"""
