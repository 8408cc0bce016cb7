"""Generated from proto/router/v1/apportion_router.proto by `make proto`; only the server, the client and the wire import it."""
