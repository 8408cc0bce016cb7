"""The parts of the typed client; users import `router.client`."""
