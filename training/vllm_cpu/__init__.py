"""Real vLLM servers on a machine without a GPU, for recordings, live tests and demos.

`python -m training.vllm_cpu make` builds the environment and the models in the user's cache folder, outside the
checkout; `… serve small|large --port P` starts a server; `server.VllmServer` does so inside a test or a demo.
The service itself never imports vLLM: it talks HTTP to it.
"""
