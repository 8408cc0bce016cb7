"""How a client knows the service, and shows who it is itself, over TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True, slots=True)
class TLS:
    """Files in PEM; they are read when a client is made.

    Client("router.example:50051", tls=TLS(ca="ca.pem", certificate="me.pem", key="me.key"))
    """

    ca: str | Path = ""  # authorities that are believed; "": those of the public that gRPC brings along
    certificate: str | Path = ""  # the client's own, where the service asks for one
    key: str | Path = ""  # of the certificate
    name: str = ""  # that the service's certificate is of; "": the target's

    def credentials(self) -> grpc.ChannelCredentials:
        """What a channel is made with. Raises `OSError` for a file that is not there, `ValueError` for half a pair."""
        if bool(self.certificate) != bool(self.key):
            raise ValueError("TLS: certificate and key go together")
        read = [Path(file).read_bytes() if file else None for file in (self.ca, self.key, self.certificate)]
        return grpc.ssl_channel_credentials(*read)

    def options(self) -> list[tuple[str, str | int]]:
        """What a channel must know besides."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []
