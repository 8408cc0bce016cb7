"""What runs inside the model server: a vLLM connector that hands out reduced hidden states.

Imports the standard library, torch and vLLM only. `connector.py` is what vLLM loads; `flags.py` says how;
`state_file.py` is how the reader, in another process and without torch, finds and reads what it left.
"""
