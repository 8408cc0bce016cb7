"""The parts of the gRPC server: calls, admission, streams, the admin port."""
