"""Generated from proto/router/v1 by `make proto`. Only the server and the client know it."""
